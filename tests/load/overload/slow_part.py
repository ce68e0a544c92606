"""Slows a part of a stack down: its processes are suspended for most of the time."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context

PERIOD_SECONDS = 0.1
STOPPED_SHARE = 0.5
"""The share of each period for which the part is suspended."""


@contextmanager
def slowed(group: int) -> Iterator[None]:
    """Slow a process group down inside of the context.

    A process of its own sends the signals, so that they do not depend on the load of this one.
    """
    suspending = get_context("spawn").Process(target=_suspend, args=(group, os.getpid()), daemon=True)
    suspending.start()
    try:
        yield
    finally:
        suspending.terminate()
        suspending.join()
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGCONT)


def _suspend(group: int, parent: int) -> None:
    """Suspend and continue a process group by turns, as long as the parent process lives."""
    with suppress(ProcessLookupError):
        while os.getppid() == parent:
            os.killpg(group, signal.SIGSTOP)
            time.sleep(STOPPED_SHARE * PERIOD_SECONDS)
            os.killpg(group, signal.SIGCONT)
            time.sleep((1 - STOPPED_SHARE) * PERIOD_SECONDS)
