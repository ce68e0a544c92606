"""Times of Python's garbage collector, which stops the event loop while it works."""

import gc
from time import perf_counter
from typing import Any

from parley.shared.metrics import collection_seconds

_began = 0.0


def watch_collections() -> None:
    """Measure each collection of this process from now on, by generation."""
    if _measure not in gc.callbacks:
        gc.callbacks.append(_measure)


def _measure(phase: str, collection: dict[str, Any]) -> None:
    global _began
    now = perf_counter()
    if phase == "start":
        _began = now
    else:
        collection_seconds.of[str(collection["generation"])].add(now - _began)
