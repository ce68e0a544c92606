"""Partition windows: the messages that this node has admitted and that no worker has stored yet."""

from asyncio import Future
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic

from parley.gateway import gauges
from parley.gateway.state.pending_limit import MAX_RETRY_SECONDS, MIN_RETRY_SECONDS
from parley.gateway.state.shared_futures import SharedFutures

BUSY_SECONDS = 1.0
"""If the oldest message has waited longer than this, low throughput means saturation, not idleness."""
ALWAYS_ADMITTED = 100
"""Messages that may wait in a partition whatever its throughput."""
MAX_TRACKED = 10_000
"""Messages that are tracked in a partition; past that the oldest are no longer tracked."""
LINGER_SHARE, MAX_LINGER_SECONDS = 0.08, 0.1
WINDOW_SECONDS = 10.0
SLOT_SECONDS = 0.25
MIN_KNOWN_SECONDS = 3.0
"""A throughput is unknown until it was measured for so long."""
OUTAGE_FACTOR, GAP_DECAY = 3.0, 0.8
"""Nothing stored for `OUTAGE_FACTOR` seconds, or for that many times the recent gap between two batches, is
an outage and not an overload. A recent gap counts `GAP_DECAY` of itself with each later batch."""
FORMER_SECONDS = 30.0
"""Time for which messages are tracked in partitions of before a change of their number."""
CATCH_UP_SHARE = 0.8
"""The share of its throughput that a late partition admits, so that it catches up."""


class Throughput:
    """Messages stored per second, over the last `WINDOW_SECONDS`."""

    def __init__(self) -> None:
        self._slots: deque[list[float]] = deque()
        self._sum = 0
        self._began = self._last = self._gap = 0.0

    def add(self, count: int, now: float) -> None:
        """Count messages that were stored at `now`."""
        self._drop_old(now)
        if not self._slots or self._is_outage(now):
            self._slots.clear()
            self._sum, self._began = 0, now
        if not self._slots or now - self._slots[-1][0] > SLOT_SECONDS:
            self._gap = max(min(now - self._last, WINDOW_SECONDS), GAP_DECAY * self._gap)
            self._slots.append([now, 0])
        self._slots[-1][1] += count
        self._sum += count
        self._last = now

    def per_second(self, now: float) -> float:
        """Return the throughput; 0 while it is unknown, and in an outage."""
        self._drop_old(now)
        known = now - self._began
        if known < MIN_KNOWN_SECONDS or self._is_outage(now):
            return 0.0
        return self._sum / min(known, WINDOW_SECONDS)

    def _is_outage(self, now: float) -> bool:
        return now - self._last > OUTAGE_FACTOR * max(1.0, self._gap)

    def _drop_old(self, now: float) -> None:
        while self._slots and now - self._slots[0][0] > WINDOW_SECONDS:
            self._sum -= int(self._slots.popleft()[1])


@dataclass(slots=True)
class PartitionWindow:
    """The messages that this node has admitted to one partition and that are not stored yet.

    Attributes:
        deadline: Seconds within which a message is to be stored.
        admitted_at: The time of admission by record id, oldest first.
        stored: The throughput of the partition, for messages of this node.
        credit: Messages that a late partition may admit now.
        credited_at: The time at which `credit` was increased last.
    """

    deadline: float
    admitted_at: dict[str, float] = field(default_factory=dict)
    stored: Throughput = field(default_factory=Throughput)
    credit: float = 0.0
    credited_at: float = 0.0
    _is_counting: bool = False
    _unconfirmed: SharedFutures[str] = field(init=False)

    def __post_init__(self) -> None:
        self._unconfirmed = SharedFutures(self._on_outcome)

    def retry_after(self, now: float) -> float | None:
        """Return None if one more message may wait, else the seconds after which to retry.

        A partition in time admits everything, a late one a little less than it stores. While nothing is
        stored at all, that is an outage and not an overload: the broker's queues are made for it.
        """
        rate = self.stored.per_second(now) if self._may_be_late(now) else 0.0
        self._is_counting = bool(rate) and len(self.admitted_at) > self.deadline * rate
        if not self._is_counting:
            return None
        earned = CATCH_UP_SHARE * rate * (now - self.credited_at)
        self.credit = min(self.credit + earned, 1 + rate * SLOT_SECONDS)
        self.credited_at = now
        if self.credit >= 1:
            return None
        too_late = len(self.admitted_at) / rate - self.deadline
        return round(min(max(too_late, MIN_RETRY_SECONDS), MAX_RETRY_SECONDS), 1)

    def _may_be_late(self, now: float) -> bool:
        """Whether so many messages have waited so long that the throughput is that of a busy worker."""
        return len(self.admitted_at) > ALWAYS_ADMITTED and self.oldest_age(now) >= BUSY_SECONDS

    def oldest_age(self, now: float) -> float:
        """Return for how many seconds the oldest message has waited; 0 if none waits."""
        oldest = next(iter(self.admitted_at.values()), None)
        return now - oldest if oldest is not None else 0.0

    def add(self, record_id: str, now: float) -> None:
        """Track an admitted message, and use up credit if the partition is late."""
        if self._is_counting:
            self.credit -= 1
        self.admitted_at[record_id] = now
        if len(self.admitted_at) > MAX_TRACKED:
            del self.admitted_at[next(iter(self.admitted_at))]

    def confirm(self, record_id: str, now: float) -> None:
        """Count a message as stored, and all before it: a partition is stored in order."""
        if record_id not in self.admitted_at:
            return
        stored = [*_up_to(record_id, self.admitted_at)]
        for each in stored:
            gauges.stored_seconds.add(now - self.admitted_at.pop(each))
        self.stored.add(len(stored), now)

    def discard_if_failed(self, record_id: str, confirmed: "Future[None]") -> None:
        """Stop tracking a message if the broker does not take it."""
        self._unconfirmed.add(confirmed, record_id)

    def _on_outcome(self, confirmed: "Future[None]", record_ids: Sequence[str]) -> None:
        if confirmed.cancelled() or confirmed.exception() is not None:
            for record_id in record_ids:
                self.admitted_at.pop(record_id, None)


def _up_to(record_id: str, waiting: Iterable[str]) -> Iterator[str]:
    for each in waiting:
        yield each
        if each == record_id:
            return


class PartitionWindows:
    """The windows of all partitions, shared by what admits messages and what publishes them.

    Args:
        count: The number of partitions.
        deadline: Seconds within which a message is to be stored.
        clock: The time in seconds.
    """

    def __init__(self, count: int, deadline: float, clock: Callable[[], float] = monotonic) -> None:
        self._deadline = deadline
        self._former: list[PartitionWindow] = []
        self._windows = [PartitionWindow(deadline) for _ in range(count)]
        self._admitted = [window.admitted_at for window in self._windows]
        self.clock = clock

    def __len__(self) -> int:
        """Return the number of admitted messages that are not stored yet."""
        return sum(map(len, self._admitted))

    def __getitem__(self, partition: int) -> PartitionWindow:
        return self._windows[partition]

    def resize(self, count: int) -> None:
        """Begin anew with another number of partitions; messages admitted before are still confirmed."""
        self._former = [window for window in self._windows if window.admitted_at]
        self._windows = [PartitionWindow(self._deadline) for _ in range(count)]
        self._admitted = [window.admitted_at for window in (*self._windows, *self._former)]

    def confirm(self, partition: int, record_id: str) -> None:
        """Count a message of a partition as stored, and all before it."""
        now = self.clock()
        window = self._windows[partition]
        if self._former and record_id not in window.admitted_at:
            window = next((each for each in self._former if record_id in each.admitted_at), window)
            # The former partitions are stored within seconds: a message that is left had its event lost.
            self._former = [each for each in self._former if each.oldest_age(now) < FORMER_SECONDS]
        window.confirm(record_id, now)

    def linger(self, partition: int) -> float:
        """Return the seconds that a record may wait for its batch to fill: a small part of its whole wait."""
        age = self._windows[partition].oldest_age(self.clock())
        return min(MAX_LINGER_SECONDS, LINGER_SHARE * age)
