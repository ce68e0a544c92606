"""Ends a stack whose owner is gone: a test runner that was killed must not leave servers behind."""

import os
import select
import sys
from pathlib import Path

from stack.parts.part import Part, Tier
from stack.place import Place

NAME = "owner-watch"


def owner_watch(place: Place, owner: int) -> Part:
    return Part(
        name=NAME,
        tier=Tier.WATCH,
        argv=(sys.executable, "-m", "stack.watch", str(owner), str(place.root)),
        directory=place.data / NAME,
        ready=lambda: True,
        autostart=True,
    )


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
    from stack.stack import Stack

    wait_for_end(int(sys.argv[1]))
    Stack(Path(sys.argv[2])).down()
