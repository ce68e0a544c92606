"""Ends a stack whose owner is gone: a test runner that was killed must not leave servers behind."""

import os
import select
import sys
from pathlib import Path

from parley.stack.stack import Stack


def wait_for_end(pid: int) -> None:
    """Return when the process has ended; at once when there is none."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([handle], [], [])
    finally:
        os.close(handle)


if __name__ == "__main__":
    wait_for_end(int(sys.argv[1]))
    Stack(Path(sys.argv[2])).down()
