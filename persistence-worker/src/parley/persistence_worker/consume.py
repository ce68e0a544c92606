"""Consumes one partition: gathers batches, has each persisted, and acknowledges it as a whole."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic, time
from typing import TypeVar

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection

from parley.persistence_worker.acknowledgements import ACK_SECONDS, Acknowledgements
from parley.persistence_worker.batch import message_id_of, refusal
from parley.persistence_worker.dead_letters import dead_letter, dead_letter_body
from parley.persistence_worker.group_commit import Persists
from parley.persistence_worker.ports import Attempts, EventPublisher, StoreUnavailable
from parley.persistence_worker.unreadable_records import refusal_of
from parley.shared import amqp, records, rooms
from parley.shared.amqp_frames import Delivery
from parley.shared.cancellation import within
from parley.shared.events import RecordRefused
from parley.shared.metrics import batch_records, batch_seconds, unknown_kinds
from parley.shared.partitions import queue_name
from parley.shared.records import Record, UnreadableRecord

log = structlog.get_logger()

T = TypeVar("T")

persisted_records, persisted_seconds = batch_records.of["persist"], batch_seconds.of["persist"]

NOT_STORED = ("FAILED", "The message could not be stored.")
RETRY_SECONDS = 0.5
STAMP_SECONDS = 1.0
"""AMQP's timestamps are whole seconds: a message may be so much younger than its own says."""
CLOSE_SECONDS = 2.0
"""Time to wait for a broker that does not answer; it sees the connection end afterwards."""
OWN_FAULT_TRIES = 3
"""Attempts at a record that fails by its own fault, before it is dead-lettered."""
ATTEMPTS = 3
"""Attempts at a suspect that may end with the worker's death, before it is dead-lettered.

More than one, because a worker may also die for another reason.
"""
SUSPECT_RETURNS = 5
"""Returns to the broker after which the records of an AMQP message are suspected to kill workers."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The records of a batch, and the AMQP messages that are fetched ahead."""

    batch: int = 500
    prefetch: int = 100


async def at_once() -> None:
    """Wait for nothing."""


class Consumer:
    """Consumes one partition from `run` until `stop`.

    Args:
        partition: The partition.
        persister: Persists a batch.
        event_publisher: Tells senders of records that cannot be stored.
        attempts: Counts attempts at records that may have killed a worker.
        limits: The size of a batch.
        turn: Waits until the persister can take a batch. Messages that arrive meanwhile belong to it.
        epoch: The epoch of the partition.
    """

    def __init__(
        self,
        partition: int,
        persister: Persists,
        event_publisher: EventPublisher,
        attempts: Attempts,
        limits: Limits = Limits(),
        turn: Callable[[], Awaitable[None]] = at_once,
        epoch: int = 1,
    ) -> None:
        self.partition = partition
        self._epoch = epoch
        self._persister = persister
        self._attempts = attempts
        self._event_publisher = event_publisher
        self._limits = limits
        self._turn = turn
        self._inbox: asyncio.Queue[Delivery | None] = asyncio.Queue()
        self._stopping = False
        self._is_cancelled = False
        self._oldest: Delivery | None = None

    @property
    def lag(self) -> float:
        """Least age in seconds of the oldest AMQP message in the current batch; 0 without a batch."""
        published_at = self._oldest.published_at if self._oldest is not None else None
        return max(0.0, time() - published_at - STAMP_SECONDS) if published_at is not None else 0.0

    async def run(self, connection: AbstractConnection) -> None:
        """Consume until `stop`; return when the current batch is finished and acknowledged."""
        channel = await connection.channel(publisher_confirms=True)
        await channel.set_qos(prefetch_count=self._limits.prefetch)
        queue = await channel.get_queue(queue_name(self.partition, self._epoch), ensure=False)
        channel.close_callbacks.add(lambda *_: self._inbox.put_nowait(None))
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(self._on_cancelled)
        frames, take = amqp.frames_of(connection), self._inbox.put_nowait
        frames.consume(underlay.number, take)
        await queue.consume(_ignore)
        acks = Acknowledgements(underlay, self._limits.prefetch)
        try:
            await self._drain(channel, acks)
        finally:
            await within(CLOSE_SECONDS, acks.flush())
            # The consumer is not cancelled first. The broker would activate the next consumer at once, and
            # requeue the unacknowledged messages of this one later, behind newer ones: order would be lost.
            await within(CLOSE_SECONDS, channel.close())
            frames.end(underlay.number, take)

    def stop(self) -> None:
        """Ask `run` to finish the current batch and return."""
        self._stopping = True
        self._inbox.put_nowait(None)

    def _on_cancelled(self, _frame: object) -> None:
        self._is_cancelled = True
        self._inbox.put_nowait(None)

    async def _drain(self, channel: AbstractChannel, acks: Acknowledgements) -> None:
        # A message that killed the previous worker is redelivered first, so only the first one is suspected.
        first = True
        while not self._stopping:
            deliveries = await self._gather(acks)
            if not deliveries:
                return
            self._oldest = deliveries[0]
            suspected = first and _returns(deliveries[0]) >= SUSPECT_RETURNS
            try:
                await self._process(deliveries, channel, suspected=suspected)
            except StoreUnavailable:
                # The worker is stopping. The broker redelivers unacknowledged messages to the next owner.
                return
            await acks.add(deliveries)
            self._oldest = None
            first = False
            if self._is_cancelled:
                # The end of the inbox was taken with the last batch. Nothing would be delivered any more.
                return

    async def _next(self, acks: Acknowledgements) -> Delivery | None:
        """Wait for a delivery; acknowledge earlier ones if none comes."""
        if acks.pending and self._inbox.empty():
            try:
                async with asyncio.timeout(ACK_SECONDS):
                    return await self._inbox.get()
            except TimeoutError:
                await acks.flush()
        return await self._inbox.get()

    async def _gather(self, acks: Acknowledgements) -> list[Delivery]:
        """Wait for a delivery, and take those that have arrived behind it, up to the size of a batch.

        A message that is delivered for the third time ends its batch: it may be the reason. The prefetch is
        not reduced for it, because the broker requeues a returned message behind others returned before.
        """
        delivery = await self._next(acks)
        if delivery is not None:
            await self._turn()
            if self._stopping:
                # It has not begun, and the database may not answer: the next owner gets the message.
                return []
        deliveries = []
        size = 0
        while delivery is not None:
            deliveries.append(delivery)
            size += _size(delivery)
            enough = size >= self._limits.batch or _returns(delivery) > 1
            if enough or self._inbox.empty() or self._stopping:
                break
            delivery = self._inbox.get_nowait()
        return deliveries

    async def _process(
        self, deliveries: Sequence[Delivery], channel: AbstractChannel, *, suspected: bool
    ) -> None:
        batch: list[Record] = []
        for delivery in deliveries:
            for record in records.unpack(delivery.body):
                if isinstance(record, UnreadableRecord):
                    await self._dead_letter_unreadable(record, channel)
                else:
                    batch.append(record)
        started = monotonic()
        if suspected:
            await self._persist_suspects(batch, channel)
        else:
            await self._persist(batch, any(d.redelivered for d in deliveries), channel)
        persisted_records.add(len(batch))
        persisted_seconds.add(monotonic() - started)

    async def _persist(self, batch: list[Record], redelivered: bool, channel: AbstractChannel) -> None:
        try:
            await self._persist_if_any(batch, redelivered)
        except StoreUnavailable:
            raise
        except Exception as error:
            log.warning("worker.batch.split", records=len(batch), error=repr(error))
            for record in batch:
                await self._persist_singly(record, channel)

    async def _persist_singly(self, record: Record, channel: AbstractChannel) -> None:
        for left in reversed(range(OWN_FAULT_TRIES)):
            try:
                await self._persist_if_any([record], redelivered=True)
                return
            except StoreUnavailable:
                raise
            except Exception as error:
                if not left:
                    log.error("worker.record.failed", error=repr(error), **_named(record))
                    await self._dead_letter(record, repr(error), channel)

    async def _persist_suspects(self, batch: list[Record], channel: AbstractChannel) -> None:
        """Persist one by one. A mark in the database outlives a worker that a record kills."""
        for record in batch:
            if await self._retry_outages(partial(self._mark, record)) > ATTEMPTS:
                log.error("worker.record.killed_workers", **_named(record))
                await self._dead_letter(record, "it killed its worker several times", channel)
            else:
                await self._persist_singly(record, channel)
            await self._retry_outages(partial(self._unmark, record))

    async def _dead_letter(self, record: Record, reason: str, channel: AbstractChannel) -> None:
        await dead_letter(record, reason, self.partition, channel)
        await self._notify_sender(refusal(record, *NOT_STORED, failed=True))

    async def _dead_letter_unreadable(self, record: UnreadableRecord, channel: AbstractChannel) -> None:
        if record.kind is not None:
            unknown_kinds.labels("record").inc()
        refused = refusal_of(record, *NOT_STORED)
        log.error(
            "worker.record.unreadable",
            partition=self.partition,
            error=record.reason,
            message_id=refused.message_id if refused is not None else None,
        )
        await dead_letter_body(record.body, record.reason, self.partition, channel)
        if refused is not None:
            await self._notify_sender(refused)

    async def _notify_sender(self, refused: RecordRefused) -> None:
        await self._event_publisher.publish_events({rooms.user(refused.user_id): [refused]})

    async def _mark(self, record: Record, _again: bool) -> int:
        return await self._attempts.begin(record.id)

    async def _unmark(self, record: Record, _again: bool) -> None:
        await self._attempts.end(record.id)

    async def _persist_if_any(self, batch: list[Record], redelivered: bool) -> None:
        if batch:
            await self._retry_outages(partial(self._store, batch, redelivered))

    async def _store(self, batch: list[Record], redelivered: bool, again: bool) -> None:
        await self._persister.persist(batch, redelivered=redelivered or again)

    async def _retry_outages(self, step: Callable[[bool], Awaitable[T]]) -> T:
        """Repeat a step until the database is back.

        Args:
            step: Called with True if an earlier attempt may have had its effect.

        Raises:
            StoreUnavailable: The database is away and the worker is stopping.
        """
        again = False
        while True:
            try:
                return await step(again)
            except StoreUnavailable as error:
                log.warning("worker.database.away", partition=self.partition, error=str(error)[:200])
                if self._stopping:
                    raise
                again = True
                await asyncio.sleep(RETRY_SECONDS)


async def _ignore(_message: object) -> None:
    """Take nothing: the connection's frame reader gives the deliveries to the consumer itself."""


def _named(record: Record) -> dict[str, str | None]:
    return {"record": record.id, "message_id": message_id_of(record), "conversation": record.conversation_id}


def _size(delivery: Delivery) -> int:
    """Return the number of records by the message's header."""
    count = delivery.headers.get("records")
    return count if isinstance(count, int) and count > 0 else 1


def _returns(delivery: Delivery) -> int:
    """Return how often the message was requeued, after a worker's death or a hand-over."""
    count = delivery.headers.get("x-delivery-count", 0)
    return count if isinstance(count, int) else 0
