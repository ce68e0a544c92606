"""A line for each measurement in `HISTORY.md`, so that a loss shows."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from load.bench.scenes import Figures
from load.bench.table import number

HISTORY = Path(__file__).parents[1] / "HISTORY.md"
COLUMNS: Sequence[tuple[str, str, str]] = (
    ("closed loop: messages/s", "closed", "messages/s"),
    ("us", "closed", "us a message"),
    ("100/s: p50", "100", "p50 ms"),
    ("p99", "100", "p99 ms"),
    ("500/s: p50", "500", "p50 ms"),
    ("p99", "500", "p99 ms"),
    ("1,000/s: p50", "1000", "p50 ms"),
    ("p99", "1000", "p99 ms"),
    ("us", "1000", "us a message"),
    ("group of 1,000: us a delivery", "group", "us a delivery, gateways"),
    ("connect: us", "connect", "us a connect"),
    ("calls", "connect", "mongodb calls"),
    ("idle: KiB", "idle", "KiB a socket"),
    ("left", "idle", "KiB left of each"),
)
"""Title, scene and figure of each column."""


def append(medians: Mapping[str, Mapping[str, Figures]], command: Sequence[str]) -> None:
    """Append a line for each target."""
    targets = dict.fromkeys(target for by_target in medians.values() for target in by_target)
    with HISTORY.open("a", encoding="utf-8") as file:
        for target in targets:
            cells = [_cell(medians, scene, target, name) for _, scene, name in COLUMNS]
            file.write(f"| {' | '.join([_version(), _today(), target, *cells, _command(command)])} |\n")


def head() -> str:
    """Return the head of the table."""
    titles = ["version", "date", "stack", *(title for title, _, _ in COLUMNS), "command"]
    return f"| {' | '.join(titles)} |\n|{'---|' * 3}{'--:|' * len(COLUMNS)}---|\n"


def _cell(medians: Mapping[str, Mapping[str, Figures]], scene: str, target: str, name: str) -> str:
    value = medians.get(scene, {}).get(target, {}).get(name)
    return "" if value is None else number(value)


def _command(command: Sequence[str]) -> str:
    words = [word for word in command if word != "--write"]
    return f"`make bench{f' ARGS={shlex.quote(shlex.join(words))}' if words else ''}`"


def _version() -> str:
    return version("parley-gateway")


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
