"""Values that are there at once, or after something was awaited.

Most events of clients need nothing that has to be awaited. A task and a chain of coroutines take 10 us for
each of them, so that handlers return their result where they have it.
"""

from collections.abc import Coroutine
from types import CoroutineType
from typing import Any, TypeAlias, TypeGuard, TypeVar

T = TypeVar("T")

Eventual: TypeAlias = T | Coroutine[Any, Any, T]
"""A value, or a coroutine that returns it. Only the coroutine needs a task."""


def is_awaitable(value: Any) -> TypeGuard[Coroutine[Any, Any, Any]]:
    """Return whether a value has to be awaited."""
    return type(value) is CoroutineType


async def settle(value: Eventual[T]) -> T:
    """Return a value as soon as it is there."""
    if is_awaitable(value):
        settled: T = await value
        return settled
    return value  # type: ignore[return-value]
