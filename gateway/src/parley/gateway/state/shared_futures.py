"""Callbacks of futures that many items share: all records of a batch have the same outcome."""

from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedFutures(Generic[T]):
    """Calls back once for each future, with all items that share it.

    The event loop takes 1.5 us to schedule and run a callback.

    Args:
        on_done: called with a future that is done, and its items in the order in which they were added.
    """

    def __init__(self, on_done: "Callable[[Future[None], Sequence[T]], None]") -> None:
        self._on_done = on_done
        self._items: dict[Future[None], list[T]] = {}

    def add(self, future: "Future[None]", item: T) -> None:
        """Add an item whose outcome a future is."""
        items = self._items.get(future)
        if items is None:
            items = self._items[future] = []
            future.add_done_callback(self._call_back)
        items.append(item)

    def _call_back(self, future: "Future[None]") -> None:
        self._on_done(future, self._items.pop(future))
