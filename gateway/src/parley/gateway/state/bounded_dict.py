"""A bounded map for recent entries, so that the common case needs no database access."""

from collections import OrderedDict
from collections.abc import Hashable
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedDict(Generic[K, V]):
    """A map of at most `limit` entries; the entry that was put least recently is evicted."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return an entry, unless it was never put or is evicted."""
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        """Put an entry, as the most recent one."""
        if key in self._entries:
            self._entries.move_to_end(key)
        self._entries[key] = value
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)

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
