"""A partition's queue in the outbox: batches that wait, and the one that awaits its confirm."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from time import monotonic

from aio_pika.abc import AbstractChannel

from parley.shared.amqp_publisher import Publisher
from parley.shared.records import Edit, NewMessage, Record

CONFIRM_SECONDS = 1.8
"""Time in which the broker must confirm a record, counted from when its batch was begun."""
BATCH_RECORDS = 500
BATCH_CHARACTERS = 500_000


@dataclass(slots=True)
class Batch:
    """Records that are published as one AMQP message; `confirmed` is the outcome of all of them."""

    confirmed: "asyncio.Future[None]"
    deadline: float
    records: list[Record] = field(default_factory=list)
    size: int = 0
    is_published: bool = False

    def is_full(self) -> bool:
        """Return whether one more record would make the AMQP message too large."""
        return len(self.records) >= BATCH_RECORDS or self.size >= BATCH_CHARACTERS

    def add(self, record: Record) -> None:
        """Append a record."""
        self.records.append(record)
        self.size += _characters(record)


@dataclass(slots=True)
class PartitionQueue:
    """Batches that wait to be published to one partition, in order."""

    waiting: deque[Batch] = field(default_factory=deque)
    channel: AbstractChannel | None = None
    """The partition's own: one that waits for the node of its queue holds up no other partition."""
    publisher: Publisher | None = None
    """Publishes on that channel."""
    published: Batch | None = None
    """The batch that awaits its confirm."""
    unconfirmed: int = 0
    """Records of all batches here."""
    flushing: bool = False
    is_stalled: bool = False
    """Whether the last batch was not confirmed."""

    def refuses(self) -> bool:
        """Return whether a record would wait in vain, because the broker has confirmed nothing in time.

        After a failure one record is taken at a time, to find out whether the broker is back.
        """
        return self.is_stalled and self.unconfirmed > 0

    def add(self, record: Record) -> Batch:
        """Append a record to the last batch, or to a new one if that is full; return the batch."""
        if not self.waiting or self.waiting[-1].is_full():
            self.waiting.append(Batch(_future(), monotonic() + CONFIRM_SECONDS))
        self.waiting[-1].add(record)
        self.unconfirmed += 1
        return self.waiting[-1]

    def age(self) -> float:
        """Return for how many seconds the oldest unconfirmed record has waited; 0 if none waits."""
        oldest = self.published or (self.waiting[0] if self.waiting else None)
        return monotonic() - oldest.deadline + CONFIRM_SECONDS if oldest is not None else 0.0


def _characters(record: Record) -> int:
    if isinstance(record, NewMessage):
        return len(record.message.content)
    return len(record.content) if isinstance(record, Edit) else 0


def _future() -> "asyncio.Future[None]":
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.add_done_callback(_retrieve)
    return future


def _retrieve(future: "asyncio.Future[None]") -> None:
    """Retrieve an exception, so that asyncio does not log one that no caller awaits."""
    if not future.cancelled():
        future.exception()
