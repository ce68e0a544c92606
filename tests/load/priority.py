"""The priority of the processes that measure."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")
PRIORITY = -10
"""The measuring processes go before the measured ones, or their own lateness would be measured."""


@contextmanager
def raised_priority() -> Iterator[None]:
    """Raise the priority of this process, its children and session inside of the context, if permitted."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        AUTOGROUP.write_text(str(PRIORITY))
    try:
        yield
    finally:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, before)
            AUTOGROUP.write_text("0")
