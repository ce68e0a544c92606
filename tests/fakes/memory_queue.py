"""A partition in memory: it has one owner at a time, and redelivers unacknowledged messages."""

import asyncio
from dataclasses import dataclass, replace
from typing import Literal

from parley.gateway.core.errors import Unavailable
from parley.shared import records
from parley.shared.records import NewMessage, Record

Outcome = Literal["confirmed", "refused", "unconfirmed"]


@dataclass(frozen=True)
class Delivery:
    """One AMQP message."""

    body: bytes
    redelivered: bool = False

    def records(self) -> list[Record]:
        """Return its records; all of them must be readable."""
        return [r for r in records.unpack(self.body) if not isinstance(r, records.UnreadableRecord)]


class Partition:
    """The unacknowledged deliveries; the owner holds the first `held` of them."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.log: list[Record] = []
        """All records that were ever published, in order."""
        self.owner: object = None
        self.held = 0

    def put(self, body: bytes) -> None:
        delivery = Delivery(body)
        self.deliveries.append(delivery)
        self.log += delivery.records()

    def take(self, owner: object, size: int) -> list[Delivery]:
        """Return the next `size` deliveries; a new owner takes over all that the previous one held."""
        if owner is not self.owner:
            self.give_back()
            self.owner = owner
        self.held = min(size, len(self.deliveries))
        return self.deliveries[: self.held]

    def acknowledge(self, owner: object) -> None:
        """Remove the deliveries that the owner holds; a previous owner removes nothing."""
        if owner is self.owner:
            del self.deliveries[: self.held]
            self.held = 0

    def give_back(self) -> None:
        """Release the deliveries of an owner that is gone."""
        for at in range(self.held):
            self.deliveries[at] = replace(self.deliveries[at], redelivered=True)
        self.owner, self.held = None, 0

    def sent(self) -> list[NewMessage]:
        """Return all sends that were ever published, retries included."""
        return [r for r in self.log if isinstance(r, NewMessage)]


class MemoryOutbox:
    """`Outbox` of one node on one partition: records of the same moment form a batch.

    `next_outcome` is the outcome of the next batch: confirmed, refused, or published without a confirm.
    """

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._batch: list[tuple[Record, asyncio.Future[None]]] = []
        self.next_outcome: Outcome = "confirmed"

    def put(self, record: Record) -> "asyncio.Future[None]":
        loop = asyncio.get_running_loop()
        if not self._batch:
            loop.call_soon(self._flush)
        confirmed: asyncio.Future[None] = loop.create_future()
        self._batch.append((record, confirmed))
        return confirmed

    def stop(self) -> None:
        """Drop the batch that was not published yet."""
        for _, confirmed in self._batch:
            confirmed.cancel()
        self._batch = []

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        outcome, self.next_outcome = self.next_outcome, "confirmed"
        if batch and outcome != "refused":
            self._partition.put(records.pack([record for record, _ in batch]))
        for _, confirmed in batch:
            if confirmed.done():
                continue
            if outcome == "confirmed":
                confirmed.set_result(None)
            else:
                confirmed.set_exception(Unavailable("The broker is away; retry later."))
