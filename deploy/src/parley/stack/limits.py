"""What this machine lets one process have."""

import resource

MOST_FILES = 20_000


def open_files() -> int:
    """How many files, and so sockets, a process of the stack may open."""
    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], MOST_FILES)
