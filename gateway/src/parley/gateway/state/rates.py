"""Rates: how often one user may do what costs others something, as token buckets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from time import monotonic

from parley.gateway.core import commands as c
from parley.gateway.core.errors import RateLimited
from parley.gateway.state.bounded_dict import BoundedDict

REMEMBERED_BUCKETS = 50_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second for ever, and so many at once."""

    per_second: float
    burst: int


class Buckets:
    """A token bucket for each key; one that was forgotten is full again."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._full_at: BoundedDict[str, float] = BoundedDict(REMEMBERED_BUCKETS)

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str, tokens: int = 1) -> float:
        """Take tokens: 0 when there was one, the others are owed; else the seconds until there is.

        A bucket is the moment at which it would be full again (GCRA, the virtual scheduling
        algorithm of ITU-T I.371): one number, that nothing has to refill.
        """
        now = self._clock()
        full_at = max(now, self._full_at.get(key) or 0.0)
        wait = full_at - now - (self._rate.burst - 1) / self._rate.per_second
        if wait > 0:
            return wait
        self._full_at.put(key, full_at + tokens / self._rate.per_second)
        return 0.0


KINDS: dict[type, str] = {
    c.SendMessage: "sends",
    c.SendToContract: "sends",
    c.EditMessage: "sends",
    c.DeleteMessage: "sends",
    c.SetTyping: "typing",
    c.JoinRoom: "joins",
    c.LeaveRoom: "joins",
    c.CreateConversation: "creates",
    c.AddParticipants: "creates",
    c.RemoveParticipant: "creates",
    c.LeaveConversation: "creates",
    c.ArchiveConversation: "creates",
    c.PutContract: "creates",
    c.Revoke: "creates",
}
"""What each command counts as; all others only read, or mark as read."""
READS = "reads"
PEOPLE_AT_ONCE = 10
"""People whom a command may bring in at the cost of one: each is told, and shown by name."""


class Rates:
    """The buckets of every user, one for each kind of command; no rates at all let everything pass."""

    def __init__(self, rates: Mapping[str, Rate], clock: Callable[[], float] = monotonic) -> None:
        self._buckets = {kind: Buckets(rate, clock) for kind, rate in rates.items()}

    def __len__(self) -> int:
        """How many buckets are remembered."""
        return sum(map(len, self._buckets.values()))

    def check(self, user_id: str, command: c.Command) -> None:
        """Count a user's command, for each ten people that it names. Raises `RateLimited`."""
        people = getattr(command, "participants", ())
        self.count(KINDS.get(type(command), READS), user_id, max(1, ceil(len(people) / PEOPLE_AT_ONCE)))

    def count(self, kind: str, key: str, times: int = 1) -> None:
        """Count something of a kind by whoever the key stands for. Raises `RateLimited`."""
        buckets = self._buckets.get(kind)
        wait = buckets.take(key, times) if buckets is not None else 0.0
        if wait:
            raise RateLimited("That is too often; try again later.", retry_after=wait)
