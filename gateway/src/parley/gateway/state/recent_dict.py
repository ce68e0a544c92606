"""A map of recent entries, in generations."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class RecentDict(Generic[K, V]):
    """A map of at least the last `least` entries that were put, and at most twice as many.

    Evicting one entry for each that was put took eight times as long: the oldest entry is in no cache of the
    processor. Here all of a generation are evicted at once.
    """

    def __init__(self, least: int) -> None:
        self._least = least
        self._entries: dict[K, V] = {}
        self._earlier: dict[K, V] = {}

    def put(self, key: K, value: V) -> None:
        """Put an entry."""
        self._entries[key] = value
        if len(self._entries) >= self._least:
            self._earlier, self._entries = self._entries, {}

    def get(self, key: K) -> V | None:
        """Return an entry, unless it was never put or is evicted."""
        found = self._entries.get(key)
        return found if found is not None else self._earlier.get(key)

    def __contains__(self, key: K) -> bool:
        return key in self._entries or key in self._earlier
