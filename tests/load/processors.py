"""Processors for the load client alone, as one on another machine has.

Its messages beyond a system's capacity would otherwise take processor time from that system.
"""

import os
from collections.abc import Iterator, Set
from contextlib import contextmanager


def halves() -> tuple[Set[int], Set[int]]:
    """Return two halves of the processors that this process may use; all of them twice if there is one."""
    processors = sorted(os.sched_getaffinity(0))
    half = len(processors) // 2
    return set(processors[:half] or processors), set(processors[half:])


@contextmanager
def bound_to(processors: Set[int]) -> Iterator[None]:
    """Bind this process, and the processes that it starts inside of the context, to processors."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
