"""The part that ends a stack when its owner is gone."""

import sys

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
