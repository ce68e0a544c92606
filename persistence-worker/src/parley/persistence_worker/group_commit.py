"""Group commit of a worker's partitions: batches that wait for the database are stored together."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from time import monotonic
from typing import Protocol

import structlog

from parley.persistence_worker.ports import StoreUnavailable
from parley.shared.records import Record

log = structlog.get_logger()

LINGER_SECONDS = 0.012
"""Time between the starts of two batches at 1,000 records a second; in proportion at other rates."""
MAX_LINGER_SECONDS = 0.025
"""Reached at 2,080 records a second of one worker."""
RATE_SECONDS = 0.25
"""The time in which a record loses two thirds of its weight: a burst after a pause is no high rate."""


class Persists(Protocol):
    """Persists a batch, as `Persister` does."""

    async def persist(self, records: Sequence[Record], *, redelivered: bool = False) -> None: ...


@dataclass(slots=True)
class Request:
    """A partition's batch that waits to be persisted; `outcome` is set afterwards."""

    records: Sequence[Record]
    redelivered: bool
    outcome: "asyncio.Future[None]"


class RecentRate:
    """Records per second, over the last quarter of a second or so."""

    def __init__(self) -> None:
        self._records = 0.0

    def add(self, records: int, seconds: float) -> float:
        """Add a group that started so many seconds after the one before; return the rate."""
        self._records = exp(-seconds / RATE_SECONDS) * self._records + records
        return self._records / RATE_SECONDS


class GroupCommit:
    """Persists the batches of several partitions together, one such group at a time.

    A group costs the database as many calls as a batch of one record, so a busy worker waits for more records
    before the next group. An idle one persists at once.
    """

    def __init__(self, persister: Persists, limit: int = 500) -> None:
        self._persister = persister
        self._limit = limit
        self._waiting: deque[Request] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._work: asyncio.Task[None] | None = None
        self._started = 0.0
        self._rate = RecentRate()

    async def turn(self) -> None:
        """Wait until no group is being persisted: a batch that is gathered now is as large as it can be."""
        await self._idle.wait()

    async def persist(self, records: Sequence[Record], *, redelivered: bool = False) -> None:
        """Persist records of one partition, together with those of others that wait.

        Raises:
            StoreUnavailable: The database is away.
            Exception: A record fails by its own fault, as it would without the other partitions.
        """
        request = Request(records, redelivered, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        if self._work is None:
            self._work = asyncio.create_task(self._run())
        await request.outcome

    async def _run(self) -> None:
        try:
            while self._waiting:
                self._idle.clear()
                before, self._started = self._started, monotonic()
                group = self._take()
                rate = self._rate.add(_size(group), self._started - before)
                await self._persist(group)
                await asyncio.sleep(self._started + _linger(rate) - monotonic())
                self._idle.set()
                # Consumers that waited for their turn hand over what they gather, before the next group.
                await asyncio.sleep(0)
        finally:
            self._work = None
            self._idle.set()

    def _take(self) -> list[Request]:
        """Take requests, in order, up to the limit of records."""
        group = [self._waiting.popleft()]
        while self._waiting and _size(group) < self._limit:
            group.append(self._waiting.popleft())
        return group

    async def _persist(self, group: Sequence[Request]) -> None:
        records = [record for request in group for record in request.records]
        try:
            await self._persister.persist(records, redelivered=any(r.redelivered for r in group))
        except StoreUnavailable as error:
            # Those that wait would find out after another time-out, and a stopping worker has not the time.
            _end([*group, *self._waiting], error)
            self._waiting.clear()
        except Exception as error:
            if len(group) == 1:
                _end(group, error)
                return
            # A record of one partition must not keep those of others from being stored.
            log.warning("worker.group.split", partitions=len(group), error=repr(error))
            for request in group:
                request.redelivered = True  # Some of them may be stored already.
                await self._persist([request])
        except BaseException as error:
            _end(group, StoreUnavailable(f"the worker is stopping: {error!r}"))
            raise
        else:
            _end(group, None)


def _linger(records_per_second: float) -> float:
    return min(MAX_LINGER_SECONDS, LINGER_SECONDS * records_per_second / 1_000)


def _size(group: Sequence[Request]) -> int:
    return sum(len(request.records) for request in group)


def _end(group: Sequence[Request], error: Exception | None) -> None:
    for request in group:
        # The outcome is cancelled if the consumer was: its connection to the broker is lost.
        if not request.outcome.done():
            if error is None:
                request.outcome.set_result(None)
            else:
                request.outcome.set_exception(error)
