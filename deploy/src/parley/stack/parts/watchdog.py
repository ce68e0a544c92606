"""The part that stops a stack when its owner has exited."""

import sys

from parley.stack.parts.part import Part, Tier
from parley.stack.paths import StackPaths

NAME = "watchdog"


def watchdog(paths: StackPaths, owner: int) -> Part:
    """Return the process that stops the stack when the process `owner` ends."""
    return Part(
        name=NAME,
        tier=Tier.WATCHDOG,
        argv=(sys.executable, "-m", "parley.stack.watchdog", str(owner), str(paths.root)),
        directory=paths.data / NAME,
        ready=lambda: True,
        autostart=True,
    )
