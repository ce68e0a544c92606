"""Watches whether a RabbitMQ node still confirms anything.

A node that was cut off from the others has no majority for any queue, and confirms nothing, although it
answers its clients. From version 4.2 on it does not close their connections either.
"""

import asyncio
from time import monotonic

GIVE_UP_SECONDS = 4.0
"""Time from the first time-out to a later one, without a confirm between, after which a node is given up."""


class ConfirmWatch:
    """The confirms of one connection; `lost` is set when the connection is of no more use."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.has_given_up = False
        self._failing_since: float | None = None

    def confirmed(self) -> None:
        """Note a confirm."""
        self._failing_since = None

    def timed_out(self) -> None:
        """Note that a confirm did not come in time."""
        if self._failing_since is None:
            self._failing_since = monotonic()
        if monotonic() - self._failing_since >= GIVE_UP_SECONDS:
            self.has_given_up = True
            self.lost.set()
