"""Pressure: whether this node has more to do than it can, so that what matters least is left out first."""

from collections.abc import Callable
from time import monotonic

LAG_SECONDS = 0.3
"""A loop that is so much behind is too busy."""
FULL = 0.5
"""The share of what may wait for the broker from which on it is too much."""
CALM_SECONDS = 2.0


class LoadMonitor:
    """High while the loop lags or much waits for the broker, and for a moment after."""

    def __init__(self, waiting: Callable[[], float], clock: Callable[[], float] = monotonic) -> None:
        self._waiting = waiting
        self._clock = clock
        self._until = 0.0

    def felt(self, lag: float) -> None:
        """The loop came so many seconds late to a step."""
        if lag > LAG_SECONDS or self._waiting() > FULL:
            self._until = self._clock() + CALM_SECONDS

    @property
    def high(self) -> bool:
        """Whether typing and presence should wait."""
        return self._clock() < self._until
