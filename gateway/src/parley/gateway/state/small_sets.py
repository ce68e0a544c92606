"""Sets that mostly have few values, as tuples: a set takes 216 bytes, a tuple of two 56."""

from collections.abc import Collection
from typing import TypeVar

T = TypeVar("T")

SmallSet = tuple[T, ...] | set[T]

MOST_IN_TUPLE = 8


def with_value(values: SmallSet[T], value: T) -> SmallSet[T]:
    """Return a set with a further value; one of many values is changed and returned."""
    if value in values:
        return values
    if isinstance(values, tuple):
        if len(values) < MOST_IN_TUPLE:
            return (*values, value)
        values = set(values)
    values.add(value)
    return values


def with_values(values: SmallSet[T], more: Collection[T]) -> SmallSet[T]:
    """Return a set with further values, as `with_value` for each of them."""
    if len(values) + len(more) <= MOST_IN_TUPLE:
        for value in more:
            values = with_value(values, value)
        return values
    several = {*values, *more} if isinstance(values, tuple) else values
    several.update(more)
    return several if len(several) > MOST_IN_TUPLE else tuple(several)


def without_value(values: SmallSet[T], value: T) -> SmallSet[T]:
    """Return a set without a value; one of many values is changed and returned."""
    if isinstance(values, tuple):
        return tuple(each for each in values if each != value) if value in values else values
    values.discard(value)
    return values
