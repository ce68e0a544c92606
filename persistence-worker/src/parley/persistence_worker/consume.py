"""Consumes one partition: batches in, one acknowledgement out, dead letters aside."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Protocol, TypeVar

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from parley.persistence_worker.batch import refusal
from parley.persistence_worker.dead_letters import dead_letter, dead_letter_body
from parley.persistence_worker.ports import Attempts, EventPublisher, StoreUnavailable
from parley.persistence_worker.unreadable_records import refusal_of
from parley.shared import records, rooms
from parley.shared.cancellation import within
from parley.shared.events import RecordRefused
from parley.shared.metrics import batch_records, batch_seconds, unknown_kinds
from parley.shared.model import now
from parley.shared.partitions import queue_name
from parley.shared.records import Record, UnreadableRecord

log = structlog.get_logger()

T = TypeVar("T")

NOT_STORED = ("FAILED", "The message could not be stored.")
RETRY_SECONDS = 0.5
CLOSE_SECONDS = 2.0
"""After which a broker that does not answer is left alone: it sees the connection end."""
OWN_FAULT_TRIES = 3
ATTEMPTS = 3
"""Attempts at a suspected record that nobody lived to end; one may have been cut short otherwise."""
SUSPECT_RETURNS = 5
"""Returns to the broker after which an AMQP message is held to be what kills the workers."""


class Persists(Protocol):
    """What becomes of a batch: `Persister.persist`."""

    async def persist(self, records: Sequence[Record], *, redelivered: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is held and written at a time."""

    batch: int = 500
    prefetch: int = 100


class Consumer:
    """Owns the reading end of one partition from `run` until `stop`."""

    def __init__(
        self,
        partition: int,
        persister: Persists,
        event_publisher: EventPublisher,
        attempts: Attempts,
        limits: Limits = Limits(),
    ) -> None:
        self.partition = partition
        self._persister = persister
        self._attempts = attempts
        self._event_publisher = event_publisher
        self._limits = limits
        self._inbox: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        self._stopping = False
        self._oldest: AbstractIncomingMessage | None = None

    @property
    def lag(self) -> float:
        """Seconds since the broker was given what is being written; 0 when nothing is."""
        given = self._oldest.timestamp if self._oldest is not None else None
        return max(0.0, (now() - given).total_seconds()) if given is not None else 0.0

    async def run(self, connection: AbstractConnection) -> None:
        """Consume until `stop`; returns when the batch in flight is finished and acknowledged."""
        channel = await connection.channel(publisher_confirms=True)
        await channel.set_qos(prefetch_count=self._limits.prefetch)
        queue = await channel.get_queue(queue_name(self.partition), ensure=False)
        channel.close_callbacks.add(lambda *_: self._inbox.put_nowait(None))
        await queue.consume(self._inbox.put)
        try:
            await self._drain(channel)
        finally:
            # Not cancelled first: the broker would activate the next consumer at once, and give back
            # what this one holds unacknowledged only later, behind what that one gets meanwhile.
            await within(CLOSE_SECONDS, channel.close())

    def stop(self) -> None:
        """Ask `run` to finish what is in flight and return."""
        self._stopping = True
        self._inbox.put_nowait(None)

    async def _drain(self, channel: AbstractChannel) -> None:
        # What killed the last worker comes first to the next one: only there it is looked for.
        first = True
        while not self._stopping:
            deliveries = await self._gather()
            if not deliveries:
                return
            self._oldest = deliveries[0]
            suspicious = first and _returns(deliveries[0]) >= SUSPECT_RETURNS
            try:
                await self._work(deliveries, channel, suspicious=suspicious)
            except StoreUnavailable:
                # We are to stop: what is not acknowledged comes again, to whoever is next.
                return
            await deliveries[-1].ack(multiple=True)
            self._oldest = None
            first = False

    async def _gather(self) -> list[AbstractIncomingMessage]:
        """Wait for one delivery, and take what came with it; one that comes a third time is taken alone.

        Alone, but not fetched alone: what is given back to the broker while others that were given back
        still lie there comes after them.
        """
        first = await self._inbox.get()
        deliveries = []
        size = 0
        while first is not None:
            deliveries.append(first)
            size += _size(first)
            enough = size >= self._limits.batch or _returns(first) > 1
            if enough or self._inbox.empty() or self._stopping:
                break
            first = self._inbox.get_nowait()
        return deliveries

    async def _work(
        self, deliveries: Sequence[AbstractIncomingMessage], channel: AbstractChannel, *, suspicious: bool
    ) -> None:
        batch: list[Record] = []
        for delivery in deliveries:
            for record in records.unpack(delivery.body):
                if isinstance(record, UnreadableRecord):
                    await self._dead_letter_unreadable(record, channel)
                else:
                    batch.append(record)
        started = monotonic()
        if suspicious:
            await self._persist_suspects(batch, channel)
        else:
            await self._persist(batch, any(d.redelivered for d in deliveries), channel)
        batch_records.labels("persist").observe(len(batch))
        batch_seconds.labels("persist").observe(monotonic() - started)

    async def _persist(self, batch: list[Record], redelivered: bool, channel: AbstractChannel) -> None:
        try:
            await self._insist(batch, redelivered)
        except StoreUnavailable:
            raise
        except Exception as error:
            log.warning("a batch failed, going on singly", records=len(batch), error=repr(error))
            for record in batch:
                await self._persist_singly(record, channel)

    async def _persist_singly(self, record: Record, channel: AbstractChannel) -> None:
        for left in reversed(range(OWN_FAULT_TRIES)):
            try:
                await self._insist([record], redelivered=True)
                return
            except StoreUnavailable:
                raise
            except Exception as error:
                if not left:
                    log.error("a record cannot be stored", record=record.id, error=repr(error))
                    await self._dead_letter(record, repr(error), channel)

    async def _persist_suspects(self, batch: list[Record], channel: AbstractChannel) -> None:
        """One by one and marked: what kills the worker is found marked by the next one."""
        for record in batch:
            if await self._patiently(partial(self._begin, record)) > ATTEMPTS:
                log.error("a record stopped the worker", record=record.id)
                await self._dead_letter(record, "it stopped the worker several times", channel)
            else:
                await self._persist_singly(record, channel)
            await self._patiently(partial(self._end, record))

    async def _dead_letter(self, record: Record, reason: str, channel: AbstractChannel) -> None:
        await dead_letter(record, reason, self.partition, channel)
        await self._tell_sender(refusal(record, *NOT_STORED, failed=True))

    async def _dead_letter_unreadable(self, record: UnreadableRecord, channel: AbstractChannel) -> None:
        if record.kind is not None:
            unknown_kinds.labels("record").inc()
        log.error("worker.record.unreadable", partition=self.partition, error=record.reason)
        await dead_letter_body(record.body, record.reason, self.partition, channel)
        refused = refusal_of(record, *NOT_STORED)
        if refused is not None:
            await self._tell_sender(refused)

    async def _tell_sender(self, refused: RecordRefused) -> None:
        await self._event_publisher.publish_events({rooms.user(refused.user_id): [refused]})

    async def _begin(self, record: Record, _again: bool) -> int:
        return await self._attempts.begin(record.id)

    async def _end(self, record: Record, _again: bool) -> None:
        await self._attempts.end(record.id)

    async def _insist(self, batch: list[Record], redelivered: bool) -> None:
        if batch:
            await self._patiently(partial(self._store, batch, redelivered))

    async def _store(self, batch: list[Record], redelivered: bool, again: bool) -> None:
        await self._persister.persist(batch, redelivered=redelivered or again)

    async def _patiently(self, step: Callable[[bool], Awaitable[T]]) -> T:
        """Take a step (`again`: it may have been taken before); wait while the database is away.

        Raises:
            StoreUnavailable: it is away and we are to stop: what is not acknowledged comes again.
        """
        again = False
        while True:
            try:
                return await step(again)
            except StoreUnavailable as error:
                log.warning("the database is away", partition=self.partition, error=str(error)[:200])
                if self._stopping:
                    raise
                again = True
                await asyncio.sleep(RETRY_SECONDS)


def _size(delivery: AbstractIncomingMessage) -> int:
    """How many records it says it carries."""
    count = delivery.headers.get("records")
    return count if isinstance(count, int) and count > 0 else 1


def _returns(delivery: AbstractIncomingMessage) -> int:
    """How often it was given back to the broker, by workers that died or handed over."""
    count = delivery.headers.get("x-delivery-count", 0)
    return count if isinstance(count, int) else 0
