"""Stop a stack when its owner exits, so that a killed test runner leaves no servers running."""

import os
import select
import sys
from pathlib import Path

from parley.stack.stack import Stack


def wait_for_exit(pid: int) -> None:
    """Return when the process has ended, or at once when it does not exist."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([handle], [], [])
    finally:
        os.close(handle)


if __name__ == "__main__":
    wait_for_exit(int(sys.argv[1]))
    Stack(Path(sys.argv[2])).down()
