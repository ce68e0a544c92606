"""A part of the stack: one process and how it is started, probed and stopped."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from parley.stack.errors import StackError
from parley.stack.ports import LOOPBACK
from parley.stack.readiness import Probe

Report = Callable[[str], None]
"""Takes one line of progress for each step."""


class Tier(IntEnum):
    """Parts that are stopped together, the highest first; `reconciliation.START_ORDER` is that of starts."""

    NAMES = 1
    SERVERS = 2
    WORKERS = 3
    GATEWAYS = 4
    EDGE = 5
    MONITORING = 6
    WATCHDOG = 9


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process: `argv` run in `directory`, with `env` added to the common environment.

    `prepare` is called before the part is started. `setup` brings the started process into service; it is
    called until the part is ready, so it must be harmless to repeat. `problems` returns the reasons why the
    part is not ready, as far as it reports them. `check` is a command that fails with one sentence on stderr
    when the part's settings are invalid.
    """

    name: str
    tier: Tier
    argv: tuple[str, ...]
    directory: Path
    ready: Probe
    prepare: Callable[[Report], None] | None = None
    setup: Callable[[Report], None] | None = None
    problems: Callable[[], list[str]] = list
    check: tuple[str, ...] = ()
    address: str = LOOPBACK
    port: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    autostart: bool = False


def program(name: str, *candidates: str) -> str:
    """Return the path of an executable, also from the sbin directories that a user's PATH leaves out.

    Raises:
        StackError: it is not installed.
    """
    directories = [
        *os.environ.get("PATH", os.defpath).split(os.pathsep),
        "/usr/local/sbin",
        "/usr/sbin",
        "/sbin",
    ]
    for candidate in (*candidates, name):
        found = shutil.which(candidate, path=os.pathsep.join(directories))
        if found:
            return found
    raise StackError(f"{name} is not installed: run `make up`, which installs what is missing.")
