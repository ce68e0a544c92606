"""The slots of uploads at one gateway: when all are taken, a slow upload gives way to another user's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from parley.gateway.core.errors import Overloaded

MIN_AGE_SECONDS = 2.0
"""An upload is not judged before: the first bytes of a fast one may be late, too."""
SLOW_BYTES_PER_SECOND = 64 * 1024
"""An upload as fast as this gives way only to users who have fewer slots than its own."""


@dataclass(slots=True, eq=False)
class UploadSlot:
    """One running upload; `received` is to be raised as bytes arrive."""

    user_id: str
    started_at: float
    timeout: asyncio.Timeout
    received: int = 0
    gave_way: bool = field(default=False)

    def rate(self, now: float) -> float:
        """Return the bytes a second since the upload began."""
        return self.received / max(now - self.started_at, 0.001)


class UploadSlots:
    """Slots of one user and of all; each upload holds memory.

    A limit in numbers alone lets a few users hold all slots with uploads that hardly move.

    Args:
        per_user: Uploads of one user, at most.
        total: Uploads of all users, at most.
        clock: The time in seconds.
    """

    def __init__(self, per_user: int, total: int, clock: Callable[[], float] = monotonic) -> None:
        self._per_user = per_user
        self._total = total
        self._clock = clock
        self._running: list[UploadSlot] = []

    @asynccontextmanager
    async def hold(self, user_id: str) -> AsyncIterator[UploadSlot]:
        """Hold a slot while the block runs.

        Raises:
            Overloaded: There is none, or the block was ended because others need its slot.
        """
        self._make_room(user_id)
        slot: UploadSlot | None = None
        try:
            async with asyncio.timeout(None) as timeout:
                slot = UploadSlot(user_id, self._clock(), timeout)
                self._running.append(slot)
                yield slot
        except TimeoutError:
            if slot is None or not slot.gave_way:
                raise
            raise Overloaded("The upload is slow, and others wait; retry later.", retry_after=5.0) from None
        finally:
            if slot in self._running:
                self._running.remove(slot)

    def _make_room(self, user_id: str) -> None:
        own = self._count(user_id)
        if own >= self._per_user:
            raise _too_many()
        if len(self._running) >= self._total:
            self._end_slowest(own)

    def _end_slowest(self, own: int) -> None:
        """End the slowest upload of those that may be: other users' with more slots, or slow ones."""
        now = self._clock()
        judged = [slot for slot in self._running if now - slot.started_at >= MIN_AGE_SECONDS]
        fitting = [slot for slot in judged if self._may_end(slot, own, now)]
        slowest = min(fitting, key=lambda slot: slot.rate(now), default=None)
        if slowest is None:
            raise _too_many()
        slowest.gave_way = True
        # Its place is free at once, although it still has to delete what it has stored.
        self._running.remove(slowest)
        slowest.timeout.reschedule(asyncio.get_running_loop().time())

    def _may_end(self, slot: UploadSlot, own: int, now: float) -> bool:
        theirs = self._count(slot.user_id)
        is_slow = slot.rate(now) < SLOW_BYTES_PER_SECOND
        return theirs > own + 1 or (is_slow and theirs > own)

    def _count(self, user_id: str) -> int:
        return sum(slot.user_id == user_id for slot in self._running)


def _too_many() -> Overloaded:
    return Overloaded("Too many uploads are running; retry later.")
