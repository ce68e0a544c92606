"""What a part of the stack is."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from parley.stack.errors import StackError
from parley.stack.readiness import Probe


class Tier(IntEnum):
    """The order of starting; stopping goes the other way, one tier after the other."""

    NAMES = 1
    SERVERS = 2
    WORKERS = 3
    GATEWAYS = 4
    EDGE = 5
    WATCH = 9


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process: `argv` run in `directory` with `env` beside the common environment.

    `problems` says, in words, why it is not ready, where it can tell. `check`, run as the part would be,
    says in a sentence what is wrong with its settings.
    """

    name: str
    tier: Tier
    argv: tuple[str, ...]
    directory: Path
    ready: Probe
    problems: Callable[[], list[str]] = list
    check: tuple[str, ...] = ()
    port: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    autostart: bool = False


def program(name: str, *candidates: str) -> str:
    """The path of an executable; Debian keeps servers where a user's PATH does not look."""
    places = [*os.environ.get("PATH", os.defpath).split(os.pathsep), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    for candidate in (*candidates, name):
        found = shutil.which(candidate, path=os.pathsep.join(places))
        if found:
            return found
    raise StackError(f"{name} is not installed: run `make up`, which installs what is missing.")
