"""Arguments of a command: what is wrong with them is said in one sentence."""

import argparse
import sys
from typing import NoReturn

NOT_BEGUN = 2
"""The exit code of what could not begin."""


class Arguments(argparse.ArgumentParser):
    """Says in one sentence what is wrong."""

    def error(self, message: str) -> NoReturn:
        print(f"{message[0].upper()}{message[1:]}.", file=sys.stderr)
        sys.exit(NOT_BEGUN)
