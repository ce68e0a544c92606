"""The deleted messages of a conversation: how many of them a member's unread count has to leave out."""

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence

from parley.gateway.core.positions import Tombstone

PRUNED_FROM = 64
"""Numbers that are kept before the first attempt to drop those that all members have read."""


class Tombstones:
    """A set of tombstones: one that is added again, from the bus or from the database, changes nothing."""

    __slots__ = ("_by_sender", "_prune_at", "_seqs")

    def __init__(self) -> None:
        # Eight bytes a number: a member may stay away while many messages are deleted.
        self._seqs = NO_NUMBERS
        self._by_sender: dict[str, array[int]] = {}
        self._prune_at = PRUNED_FROM

    def __len__(self) -> int:
        return len(self._seqs)

    def add(self, tombstone: Tombstone) -> None:
        """Add a tombstone, unless it is known."""
        seq = tombstone.seq
        at = bisect_left(self._seqs, seq)
        if at == len(self._seqs) or self._seqs[at] != seq:
            if self._seqs is NO_NUMBERS:
                self._seqs = _numbers()
            self._seqs.insert(at, seq)
            insort(self._by_sender.setdefault(tombstone.sender_id, _numbers()), seq)

    def of_others(self, user_id: str, above: int, upto: int) -> int:
        """Return how many tombstones with above < seq <= upto are of messages that others had sent."""
        if not self._seqs or self._seqs[-1] <= above:
            return 0
        return _between(self._seqs, above, upto) - _between(self._by_sender.get(user_id, ()), above, upto)

    def prune(self, bases: Iterable[int]) -> None:
        """Drop the tombstones up to the lowest of these numbers.

        Finding the lowest costs as much as there are members, so it is done only when the number of
        tombstones has doubled since the last time.
        """
        if len(self._seqs) < self._prune_at or not self._seqs:
            return
        floor = min(bases, default=0)
        del self._seqs[: bisect_right(self._seqs, floor)]
        kept = {sender: seqs[bisect_right(seqs, floor) :] for sender, seqs in self._by_sender.items()}
        self._by_sender = {sender: seqs for sender, seqs in kept.items() if seqs}
        self._prune_at = max(PRUNED_FROM, 2 * len(self._seqs))


def _numbers() -> "array[int]":
    return array("q")


NO_NUMBERS = _numbers()
"""Shared by all conversations without deleted messages; never changed."""


def _between(seqs: Sequence[int], above: int, upto: int) -> int:
    return max(0, bisect_right(seqs, upto) - bisect_right(seqs, above))
