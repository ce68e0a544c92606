"""Follows the stored layout: runs an ownership for each epoch whose partitions are consumed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AMQPError

from parley.persistence_worker.ownership import Fix, Ownership
from parley.persistence_worker.partitions.mover import Mover
from parley.shared import metrics
from parley.shared.cancellation import end
from parley.shared.layouts import MOVING_SECONDS, READ_SECONDS, Layout, Layouts, LayoutsUnavailable
from parley.shared.partitions import Partitions, PartitionsDiffer, fix_count
from parley.shared.redis import FAULTS

log = structlog.get_logger()

STEP_FAULTS = (AMQPError, TimeoutError, *FAULTS)

MakeOwnership = Callable[[Partitions, Fix], Ownership]


@dataclass(frozen=True, slots=True)
class Running:
    """An ownership and its task."""

    ownership: Ownership
    work: "asyncio.Task[None]"


class LayoutFollower:
    """Consumes the partitions that the layout names, until `stop`.

    Args:
        layouts: The stored layout.
        first: The partitions while no layout is stored.
        make_ownership: Returns the ownership of the partitions of an epoch.
        mover: Takes the steps of a change, if this worker holds the first partition.
    """

    def __init__(
        self, layouts: Layouts, first: Partitions, make_ownership: MakeOwnership, mover: Mover
    ) -> None:
        self._layouts = layouts
        self._layout = Layout(current=first)
        self._make_ownership = make_ownership
        self._mover = mover
        self._running: dict[Partitions, Running] = {}
        self._stopping = asyncio.Event()
        metrics.partitions.set_function(lambda: self._layout.current.count)
        metrics.partitions_held.set_function(lambda: sum(len(each.held) for each in self._ownerships))
        metrics.lag_seconds.set_function(lambda: max((each.lag for each in self._ownerships), default=0.0))

        metrics.broker_connected.set_function(self._is_connected)

    @property
    def settled(self) -> bool:
        """Whether this worker is connected to RabbitMQ, and holds its share of the current partitions."""
        current = self._running.get(self._layout.current)
        return current is not None and current.ownership.settled

    def begin_with(self, layout: Layout) -> None:
        """Take the layout that was read at start."""
        self._layout = layout

    def holds(self, conversation_id: str) -> bool:
        """Return whether this worker stores the messages of a conversation."""
        return any(each.partitions.of(conversation_id) in each.held for each in self._ownerships)

    def stop(self) -> None:
        """Ask `run` to finish the batches in flight, release all partitions and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Follow the layout until `stop`."""
        moving = asyncio.create_task(self._move())
        try:
            while not self._stopping.is_set():
                await self._follow()
                await self._pause(moving)
            await end([moving])
            await asyncio.gather(*map(self._end, list(self._running)))
        finally:
            await end([moving, *(running.work for running in self._running.values())])
            await self._mover.close()

    def _is_connected(self) -> bool:
        """Return whether each ownership is connected to RabbitMQ, without those that a change has ended."""
        return bool(self._running) and all(each.is_connected for each in self._ownerships)

    @property
    def _ownerships(self) -> list[Ownership]:
        return [running.ownership for running in self._running.values()]

    async def _follow(self) -> None:
        await self._read()
        consumed = self._layout.consumed
        for partitions in consumed:
            if partitions not in self._running:
                ownership = self._make_ownership(partitions, partial(self._fix, partitions))
                self._running[partitions] = Running(ownership, asyncio.create_task(ownership.run()))
        for partitions in [each for each in self._running if each not in consumed]:
            await self._end(partitions)
        for running in self._running.values():
            if running.work.done():
                running.work.result()
                raise RuntimeError("an ownership ended without being stopped")

    async def _read(self) -> None:
        try:
            layout = await self._layouts.read()
            if layout is not None:
                self._layout = layout
            elif self.settled:
                # The broker has accepted the number of the settings.
                await self._layouts.create(self._layout.current.count)
        except LayoutsUnavailable as error:
            log.debug("worker.partitions.unread", error=str(error))

    async def _move(self) -> None:
        """Take the steps of a change while this worker holds the first of the current partitions."""
        while True:
            current = self._running.get(self._layout.current)
            if current is not None and 0 in current.ownership.held:
                await self._take_step()
            await asyncio.sleep(MOVING_SECONDS if self._layout.is_changing else READ_SECONDS)

    async def _take_step(self) -> None:
        try:
            layout = await self._layouts.read() if self._layout.is_changing else self._layout
            if layout is not None:
                await self._mover.step(layout)
        except (LayoutsUnavailable, *STEP_FAULTS) as error:
            log.warning("worker.partitions.step_failed", phase=self._layout.phase, error=repr(error))
            await self._mover.close()

    async def _fix(self, partitions: Partitions, connection: AbstractConnection) -> None:
        """Check the number of partitions in the broker, which changes before the stored one."""
        layout = self._layout
        if partitions not in layout.consumed:
            # The broker was away when this worker started with a number of its own, and another worker has
            # stored another one since. The ownership is about to end: it must not declare its queues.
            raise PartitionsDiffer(partitions, layout.current)
        await fix_count(connection, layout.current, *([layout.next] if layout.next else []))

    async def _end(self, partitions: Partitions) -> None:
        running = self._running[partitions]
        running.ownership.stop()
        await running.work
        del self._running[partitions]

    async def _pause(self, moving: "asyncio.Task[None]") -> None:
        """Wait, but not past `stop` or an error."""
        stop = asyncio.create_task(self._stopping.wait())
        tasks = [moving, *(running.work for running in self._running.values())]
        seconds = MOVING_SECONDS if self._layout.next else READ_SECONDS
        await asyncio.wait([stop, *tasks], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if moving.done():
            moving.result()
