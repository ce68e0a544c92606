"""Limits that this machine sets for one process."""

import resource

MAX_OPEN_FILES = 20_000


def open_files() -> int:
    """Return how many files, and therefore sockets, a process of the stack may open."""
    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], MAX_OPEN_FILES)
