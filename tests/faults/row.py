"""What a row of the table is, and what comes of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.fault_run import FaultRun


@dataclass(frozen=True, kw_only=True)
class Row:
    """A fault, what is done to cause it, and its bounds, in seconds.

    `silence` is how long a client may hear nothing of a conversation in which messages are being accepted,
    `recovery` how long after its end the fault may be felt, `bound` how long all of the row may take.
    Only where it `cuts` may clients lose their sockets, and only with the codes that it `refuses` sends with
    may any be refused.
    `tested` rows are tests too.
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
    tested: bool = False


@dataclass(kw_only=True)
class Outcome:
    """The figures of a row, None for what was not found out; it has passed when there are no `reasons`."""

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
