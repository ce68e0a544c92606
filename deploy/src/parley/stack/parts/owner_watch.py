"""The part that ends a stack when its owner is gone."""

import sys

from parley.stack.parts.part import Part, Tier
from parley.stack.paths import StackPaths

NAME = "owner-watch"


def owner_watch(place: StackPaths, owner: int) -> Part:
    return Part(
        name=NAME,
        tier=Tier.WATCH,
        argv=(sys.executable, "-m", "parley.stack.watch", str(owner), str(place.root)),
        directory=place.data / NAME,
        ready=lambda: True,
        autostart=True,
    )
