"""A partition in memory: one owner at a time, and what it does not acknowledge comes again."""

import asyncio
from dataclasses import dataclass, replace
from typing import Literal

from parley.gateway.core.errors import Unavailable
from parley.shared import records
from parley.shared.records import NewMessage, Record

Flight = Literal["fine", "refused", "unconfirmed"]


@dataclass(frozen=True)
class Delivery:
    """One AMQP message."""

    body: bytes
    redelivered: bool = False

    def records(self) -> list[Record]:
        """What it carries; all of it can be read."""
        return [r for r in records.unpack(self.body) if not isinstance(r, records.UnreadableRecord)]


class Partition:
    """The deliveries that are not acknowledged, the first `held` of them in the owner's hands."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.log: list[Record] = []
        """Every record that ever came, in order."""
        self.owner: object = None
        self.held = 0

    def put(self, body: bytes) -> None:
        delivery = Delivery(body)
        self.deliveries.append(delivery)
        self.log += delivery.records()

    def take(self, owner: object, size: int) -> list[Delivery]:
        """The next `size` deliveries, for an owner with empty hands; from another owner all come back."""
        if owner is not self.owner:
            self.give_back()
            self.owner = owner
        self.held = min(size, len(self.deliveries))
        return self.deliveries[: self.held]

    def acknowledge(self, owner: object) -> None:
        """The owner is done with what it holds; whoever was overtaken acknowledges nothing."""
        if owner is self.owner:
            del self.deliveries[: self.held]
            self.held = 0

    def give_back(self) -> None:
        """The owner is gone."""
        for at in range(self.held):
            self.deliveries[at] = replace(self.deliveries[at], redelivered=True)
        self.owner, self.held = None, 0

    def sent(self) -> list[NewMessage]:
        """Every send that ever came, retries too."""
        return [r for r in self.log if isinstance(r, NewMessage)]


class MemoryOutbox:
    """One node's lane to a partition: what gathers within a moment flies together.

    `next_flight` is what becomes of the next one: taken, refused, or taken without a word.
    """

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._gathered: list[tuple[Record, asyncio.Future[None]]] = []
        self.next_flight: Flight = "fine"

    def put(self, record: Record) -> "asyncio.Future[None]":
        loop = asyncio.get_running_loop()
        if not self._gathered:
            loop.call_soon(self._fly)
        confirmed: asyncio.Future[None] = loop.create_future()
        self._gathered.append((record, confirmed))
        return confirmed

    def stop(self) -> None:
        """What has not flown is gone."""
        for _, confirmed in self._gathered:
            confirmed.cancel()
        self._gathered = []

    def _fly(self) -> None:
        gathered, self._gathered = self._gathered, []
        flight, self.next_flight = self.next_flight, "fine"
        if gathered and flight != "refused":
            self._partition.put(records.pack([record for record, _ in gathered]))
        for _, confirmed in gathered:
            if confirmed.done():
                continue
            if flight == "fine":
                confirmed.set_result(None)
            else:
                confirmed.set_exception(Unavailable("The broker is away; try again."))
