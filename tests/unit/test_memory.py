"""Memory is given back once after many clients have left, and not while they leave."""

from operator import length_hint

import pytest

from parley.gateway import memory
from parley.gateway.memory import MANY, MemoryTrimmer


async def trims(counts: list[int]) -> list[int]:
    """Return the numbers of the checks that trimmed."""
    trimmed: list[int] = []
    checks = iter(counts)
    trimmer = MemoryTrimmer(
        lambda: next(checks), lambda: trimmed.append(len(counts) - length_hint(checks) - 1)
    )
    for _ in counts:
        await trimmer.check()
    return trimmed


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([0, 5_000, 5_000, 4_999, 4_999], []),
        ([5_000, 2_000, 10, 10, 10, 10], [3]),
        ([5_000, 5_000 - MANY, 5_000 - MANY, 5_000 - MANY], [2]),
        ([5_000, 0, 0, 5_000, 0, 0], [2, 5]),
        ([5_000, 4_900, 4_800, 4_700, 4_600, 4_500, 4_500], [6]),
    ],
)
async def test_memory_is_trimmed_when_many_clients_have_left(counts: list[int], expected: list[int]) -> None:
    assert await trims(counts) == expected


def test_the_heap_can_be_trimmed_here() -> None:
    memory.trim()
