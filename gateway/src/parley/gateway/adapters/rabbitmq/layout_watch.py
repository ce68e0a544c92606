"""Follows the stored layout of the partitions, and has the outbox act upon a change of their number."""

import asyncio

import structlog

from parley.gateway.adapters.rabbitmq.outbox import RabbitOutbox
from parley.shared.cancellation import end
from parley.shared.layouts import (
    CLOSING,
    MOVING_SECONDS,
    PREPARING,
    READ_SECONDS,
    Layout,
    Layouts,
    LayoutsUnavailable,
)

log = structlog.get_logger()


class LayoutWatch:
    """Reads the layout once a second, and often during a change; while MongoDB is away, the last one holds.

    Args:
        layouts: The stored layout.
        outbox: The outbox.
        node_name: The name under which this gateway answers.
    """

    def __init__(self, layouts: Layouts, outbox: RabbitOutbox, node_name: str) -> None:
        self._layouts = layouts
        self._outbox = outbox
        self._node_name = node_name
        self._is_changing = False
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Watch until `stop`."""
        self._work = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End the watch."""
        if self._work is not None:
            await end([self._work])

    def begin_with(self, layout: Layout) -> None:
        """Act upon the layout that was read before the start."""
        self._outbox.begin_with(layout.current)
        self.apply(layout)

    async def check(self) -> None:
        """Read the layout, and act upon it."""
        try:
            layout = await self._layouts.read()
            if layout is not None and self.apply(layout):
                await self._layouts.answer(layout, self._node_name)
        except LayoutsUnavailable as error:
            log.debug("gateway.partitions.unread", error=str(error))

    def apply(self, layout: Layout) -> bool:
        """Have the outbox act upon a layout; return whether to answer."""
        if layout.next is not None and not self._is_changing:
            log.info("gateway.partitions.changing", count=layout.next.count)
        elif layout.next is None and self._is_changing:
            log.info("gateway.partitions.changed", count=layout.current.count)
        self._is_changing = layout.next is not None
        if layout.phase == CLOSING and layout.next is not None:
            return self._outbox.close(layout.next)
        self._outbox.open(layout.current)
        return layout.phase == PREPARING

    async def _watch(self) -> None:
        while True:
            await self.check()
            await asyncio.sleep(MOVING_SECONDS if self._is_changing else READ_SECONDS)
