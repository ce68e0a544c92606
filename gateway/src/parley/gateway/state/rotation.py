"""A rotation goes round a changing collection, a few items at a time: a larger one takes more time only."""

from collections.abc import Callable, Iterable
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")


def _one(_item: object) -> int:
    return 1


class Rotation(Generic[T]):
    """Gives the items of one round after the other.

    Args:
        items: Returns all items; it is called once a round.
        seconds: The least time between the starts of two rounds.
        clock: The time in seconds.
    """

    def __init__(
        self, items: Callable[[], Iterable[T]], seconds: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._items = items
        self._seconds = seconds
        self._clock = clock
        self._due = clock() + seconds
        self._left: list[T] = []

    def next(self, most: int, weight: Callable[[T], int] = _one) -> list[T]:
        """Return the next items of this round, none if the next round is not due yet.

        Args:
            most: Their weight together, at most; one item is returned whatever its weight.
            weight: Returns the weight of an item.
        """
        if not self._left and self._clock() >= self._due:
            self._due = self._clock() + self._seconds
            self._left = list(self._items())
        taken: list[T] = []
        total = 0
        while self._left and (not taken or total + weight(self._left[-1]) <= most):
            taken.append(self._left.pop())
            total += weight(taken[-1])
        return taken
