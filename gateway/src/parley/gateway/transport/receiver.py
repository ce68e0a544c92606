"""The receiver of a websocket's messages."""

from collections.abc import Coroutine
from typing import Any, Protocol


class Receiver(Protocol):
    """Handles the messages of a connection."""

    def admit(self, size: int) -> Coroutine[Any, Any, None] | None:
        """Count the bytes of a frame; returns None, or what has to be awaited before it is handled."""

    def on_message(self, data: str | bytes) -> bool:
        """Handle a message; returns whether the client is to be read on, else it is after `read_on`."""

    def on_lost(self) -> None:
        """Handle that no more messages come."""


class Nobody:
    """Receives what comes after the end."""

    def admit(self, size: int) -> None:
        """Count nothing."""

    def on_message(self, data: str | bytes) -> bool:
        """Ignore a message."""
        return True

    def on_lost(self) -> None:
        """Do nothing."""


NOBODY = Nobody()
