"""The status of a part: a row of `make status`."""

from collections.abc import Sequence
from dataclasses import dataclass

from parley.stack.parts.part import Part
from parley.stack.supervisor import Process


@dataclass(frozen=True, kw_only=True)
class PartStatus:
    """One row of the status table: `uptime` in seconds, `problems` as the part itself reports them."""

    name: str
    state: str
    pid: int
    address: str
    port: int | None
    uptime: int
    ready: bool
    problems: Sequence[str] = ()


def part_status(part: Part, process: Process) -> PartStatus:
    """Probe a part and return its row."""
    ready = part.ready()
    return PartStatus(
        name=part.name,
        state=process.state,
        pid=process.pid,
        address=part.address,
        port=part.port,
        uptime=process.uptime,
        ready=ready,
        problems=() if ready or not process.pid else part.problems(),
    )
