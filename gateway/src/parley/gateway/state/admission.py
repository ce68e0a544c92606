"""The backlog: messages that are accepted and not stored yet, and the refusal of more than can be stored."""

from asyncio import Future
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from time import monotonic

from parley.gateway.core.errors import Overloaded
from parley.gateway.core.ports import Outbox
from parley.shared.records import NewMessage, Record

BUSY_SECONDS = 1.0
"""Where something has waited so long, nothing is stored slowly for want of work."""
FEW = 100
"""So many may wait in a partition, late or not."""
MANY = 10_000
"""More are not kept account of: the oldest are forgotten."""
PATIENCE, MOST_PATIENCE = 0.05, 0.1
WINDOW_SECONDS = 10.0
SLOT_SECONDS = 0.25
KNOWN_SECONDS = 3.0
"""So long it takes to know a rate."""
QUIET, FADING = 3.0, 0.8
"""It is an outage, and no overload, when nothing is stored for so many seconds, or for so many times as
long as between two batches lately."""
SLOWER = 0.8
"""What a late partition accepts, as a part of what it stores, so that it catches up."""


class Throughput:
    """How many a second, over the last few seconds."""

    def __init__(self) -> None:
        self._slots: deque[list[float]] = deque()
        self._sum = 0
        self._began = self._last = self._gap = 0.0

    def add(self, count: int, now: float) -> None:
        """So many were stored just now."""
        self._forget(now)
        if not self._slots or self._is_quiet(now):
            self._slots.clear()
            self._sum, self._began = 0, now
        if not self._slots or now - self._slots[-1][0] > SLOT_SECONDS:
            self._gap = max(min(now - self._last, WINDOW_SECONDS), FADING * self._gap)
            self._slots.append([now, 0])
        self._slots[-1][1] += count
        self._sum += count
        self._last = now

    def per_second(self, now: float) -> float:
        """The rate; 0 while it is not known, and in an outage."""
        self._forget(now)
        known = now - self._began
        if known < KNOWN_SECONDS or self._is_quiet(now):
            return 0.0
        return self._sum / min(known, WINDOW_SECONDS)

    def _is_quiet(self, now: float) -> bool:
        return now - self._last > QUIET * max(1.0, self._gap)

    def _forget(self, now: float) -> None:
        while self._slots and now - self._slots[0][0] > WINDOW_SECONDS:
            self._sum -= int(self._slots.popleft()[1])


@dataclass(slots=True)
class PartitionWindow:
    """What waits in one partition, by record and since when, the oldest first."""

    since: dict[str, float] = field(default_factory=dict)
    within: float = 0.0
    """Seconds in which what waits is to be stored: else the lane is late."""
    stored: Throughput = field(default_factory=Throughput)
    credit: float = 0.0
    asked: float = 0.0

    def is_late(self, now: float, rate: float) -> bool:
        """Whether more waits than is stored in time, where as much is stored as can be."""
        waiting = len(self.since)
        if waiting <= FEW or now - next(iter(self.since.values())) < BUSY_SECONDS:
            return False
        return waiting > self.within * rate

    def admits(self, now: float) -> bool:
        """Whether one more may wait: any if we are in time, else a little less than is stored.

        While nothing is stored at all that is no overload but an outage, which the broker's queues are for;
        how fast they are emptied afterwards shows after a while.
        """
        rate = self.stored.per_second(now)
        if not rate or not self.is_late(now, rate):
            return True
        self.credit = min(self.credit + SLOWER * rate * (now - self.asked), 1 + rate * SLOT_SECONDS)
        self.asked = now
        if self.credit < 1:
            return False
        self.credit -= 1
        return True

    def add(self, record_id: str, now: float) -> None:
        """One more waits."""
        self.since[record_id] = now
        if len(self.since) > MANY:
            del self.since[next(iter(self.since))]

    def settle(self, record_id: str, now: float) -> None:
        """One was stored, and so were those before it: a partition keeps their order."""
        if record_id not in self.since:
            return
        before = [*takewhile(lambda waits: waits != record_id, self.since)]
        for settled in (*before, record_id):
            del self.since[settled]
        self.stored.add(len(before) + 1, now)

    def forget(self, record_id: str, confirmed: "Future[None]") -> None:
        """The broker did not take it, so it does not wait."""
        if confirmed.cancelled() or confirmed.exception() is not None:
            self.since.pop(record_id, None)


class AdmissionController:
    """`Outbox` before another: refuses messages where more is said than can be stored `within` seconds.

    What it knows is what this node accepted, and heard of again: no other node is asked.
    """

    def __init__(
        self,
        outbox: Outbox,
        partition_of: Callable[[str], int],
        partitions: int,
        *,
        within: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._outbox = outbox
        self._partition_of = partition_of
        self._lanes = [PartitionWindow(within=within) for _ in range(partitions)]
        self._clock = clock

    def __len__(self) -> int:
        return sum(len(lane.since) for lane in self._lanes)

    def put(self, record: Record) -> "Future[None]":
        """As the other, for messages that can be stored in time.

        Raises:
            Overloaded: it cannot.
        """
        if not isinstance(record, NewMessage):
            return self._outbox.put(record)
        lane, now = self._lane(record.conversation_id), self._clock()
        if not lane.admits(now):
            raise Overloaded("More is said than can be stored; try again.")
        confirmed = self._outbox.put(record)
        lane.add(record.id, now)
        confirmed.add_done_callback(partial(lane.forget, record.id))
        return confirmed

    def patience(self, partition: int) -> float:
        """Seconds that a record may wait for company: a small part of those that it waits to be stored."""
        since = self._lanes[partition].since
        oldest = next(iter(since.values()), None)
        return min(MOST_PATIENCE, PATIENCE * (self._clock() - oldest)) if oldest is not None else 0.0

    def settled(self, conversation_id: str, record_id: str) -> None:
        """Something was heard of a record: it is stored, or refused for good."""
        self._lane(conversation_id).settle(record_id, self._clock())

    def _lane(self, conversation_id: str) -> PartitionWindow:
        return self._lanes[self._partition_of(conversation_id)]
