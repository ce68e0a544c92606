"""Command lines whose errors are one sentence."""

import argparse
import sys
from typing import NoReturn

NOT_BEGUN = 2
"""The exit code of a command that could not start."""


class Arguments(argparse.ArgumentParser):
    """A parser that reports an error in one sentence."""

    def error(self, message: str) -> NoReturn:
        print(f"{message[0].upper()}{message[1:]}.", file=sys.stderr)
        sys.exit(NOT_BEGUN)
