"""A bounded map for recent entries, so that the common case needs no database access."""

from collections.abc import Hashable
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

EVICTED_SHARE = 1 / 16
"""The share of the entries that is evicted at once.

A dict keeps the places of deleted entries for a while: to delete the first entry at each put would mean to
pass over thousands of them. An `OrderedDict` has no such places, but takes ten times as long for a put.
"""


class BoundedDict(Generic[K, V]):
    """A map of at most `limit` entries; those that were put least recently are evicted."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._evicted_at_once = max(1, int(limit * EVICTED_SHARE))
        self._entries: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Return an entry, unless it was never put or is evicted."""
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        """Put an entry, as the most recent one."""
        self._entries.pop(key, None)
        self._entries[key] = value
        if len(self._entries) > self._limit:
            for oldest, _ in self.oldest(self._evicted_at_once):
                del self._entries[oldest]

    def oldest(self, most: int) -> list[tuple[K, V]]:
        """Return the entries that were put least recently, `most` at most."""
        return list(islice(self._entries.items(), most))

    def discard(self, key: K) -> None:
        """Remove an entry, if there is one."""
        self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries
