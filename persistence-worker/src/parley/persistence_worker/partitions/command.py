"""Asks the workers to change the number of partitions, and prints how far they are.

The workers take all steps, so the change goes on when the command is stopped or killed.
"""

import asyncio
from collections.abc import Callable, Iterator
from time import monotonic

from parley.shared import mongo
from parley.shared.layouts import CLOSING, PREPARING, Layout, Layouts, LayoutsUnavailable
from parley.shared.settings import StartupError

Show = Callable[[str], None]

LOOK_SECONDS = 0.1
IDLE_SECONDS = 20.0
"""Time without a step after which the command says what it waits for."""
NO_LAYOUT = "No worker has stored the number of partitions yet: start the services first."
NO_STEP = "no worker has begun: do workers of this version run, and hold the first partition?"


async def show_status(url: str, show: Show) -> None:
    """Print the number of partitions, and how far a change of it is."""
    async with mongo.connect(url) as database:
        layout = await Layouts(database).read()
    show(NO_LAYOUT if layout is None else "; ".join(_state(layout, with_note=True)))


async def change(url: str, count: int, stopped: asyncio.Event, show: Show, *, forced: bool) -> None:
    """Ask for a number of partitions, and wait until there are so many and the former queues are gone.

    Args:
        url: A MongoDB connection string.
        count: The number of partitions.
        stopped: Ends the wait; the workers go on.
        show: Gets lines of progress.
        forced: Whether gateways that do not take part are cut off.

    Raises:
        StartupError: There is no layout yet.
        LayoutsUnavailable: MongoDB does not answer the request.
    """
    async with mongo.connect(url) as database:
        layouts = Layouts(database)
        if not await layouts.ask_for(count, forced=forced):
            raise StartupError(NO_LAYOUT)
        await _wait(layouts, count, stopped, show)


async def _wait(layouts: Layouts, count: int, stopped: asyncio.Event, show: Show) -> None:
    shown, shown_at = "", monotonic()
    while not stopped.is_set():
        layout = await _read(layouts)
        if layout is not None:
            is_late = monotonic() - shown_at > IDLE_SECONDS
            line = "; ".join(_state(layout, with_note=is_late))
            if line != shown:
                shown, shown_at = line, monotonic()
                show(line)
            if layout.current.count == count and not layout.is_changing:
                return
        await asyncio.sleep(LOOK_SECONDS)
    show("stopped waiting; the workers go on")


async def _read(layouts: Layouts) -> Layout | None:
    try:
        return await layouts.read()
    except LayoutsUnavailable:
        return None


def _state(layout: Layout, *, with_note: bool) -> Iterator[str]:
    yield f"{layout.current.count} partitions (epoch {layout.current.epoch})"
    if layout.phase == PREPARING:
        yield f"workers and gateways prepare for {_next(layout)}"
    elif layout.phase == CLOSING:
        yield f"switching to {_next(layout)}"
    elif layout.wanted not in (None, layout.current.count):
        yield f"{layout.wanted} asked for"
        if with_note:
            yield NO_STEP
    elif layout.held_seconds is not None:
        yield f"the last change held messages up for {layout.held_seconds:.2f} s"
    for each in layout.retired:
        yield f"the queues of epoch {each.partitions.epoch} are kept for some seconds"
    if layout.note and with_note:
        yield layout.note


def _next(layout: Layout) -> str:
    return f"{layout.next.count}" if layout.next else "?"
