"""Overload detection: a node that is overloaded sheds typing and presence first."""

from collections.abc import Callable
from time import monotonic

MAX_LAG_SECONDS = 0.3
"""A lag of the event loop above this means overload."""
MAX_OUTBOX_SHARE = 0.5
"""An outbox that is filled above this share means overload."""
CALM_SECONDS = 2.0
"""Overload ends when none of these was observed for so long."""


class LoadMonitor:
    """Detects overload from the lag of the event loop and from the share of the outbox that is filled."""

    def __init__(self, outbox_share: Callable[[], float], clock: Callable[[], float] = monotonic) -> None:
        self._outbox_share = outbox_share
        self._clock = clock
        self._until = 0.0

    def observe_lag(self, seconds: float) -> None:
        """Record how late a timer of the event loop fired."""
        if seconds > MAX_LAG_SECONDS or self._outbox_share() > MAX_OUTBOX_SHARE:
            self._until = self._clock() + CALM_SECONDS

    @property
    def is_overloaded(self) -> bool:
        """Whether typing and presence should be deferred."""
        return self._clock() < self._until
