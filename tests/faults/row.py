"""A row of the fault table, and the outcome of a run."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.fault_run import FaultRun


@dataclass(frozen=True, kw_only=True)
class Row:
    """A fault, the action that causes it, and the bounds of its effects, in seconds.

    `silence` bounds how long a client may receive nothing of a conversation in which messages are accepted,
    `recovery` how long the effects may last after the fault's end, `bound` the whole run, `refused` how long
    a client may have no send accepted. Clients may lose their sockets only where the row `cuts`, and sends
    may be refused only with its `refusal` codes. Sends may stay without an acknowledgement only where a
    gateway is `unreachable` for its clients. `tested` rows are also run as tests. `alerts` are the names
    of the alerts that fire, by the rules of deploy/observe/alerts.yml, and `finding` is what `parley doctor`
    finds: a part or server and the word of the check, such as "worker-1 (reachable)".
    """

    name: str
    fault: str
    done: str
    run: "Callable[[FaultRun], Awaitable[None]]"
    silence: float
    recovery: float
    bound: float = 60.0
    cuts: bool = False
    refusal: tuple[str, ...] = ()
    refused: float = math.inf
    unreachable: bool = False
    tested: bool = False
    alerts: tuple[str, ...] = ()
    finding: str = ""


@dataclass(kw_only=True)
class Outcome:
    """The figures of a run, None for unknown ones; it has passed when there are no `reasons`."""

    row: Row
    accepted: int | None = None
    lost: int | None = None
    doubled: int | None = None
    holes: int | None = None
    unread_wrong: int | None = None
    silence: float | None = None
    recovery: float | None = None
    reasons: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.reasons
