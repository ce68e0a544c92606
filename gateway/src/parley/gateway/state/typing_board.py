"""The users who type, as this node has reported to its clients. A start that is not renewed expires here."""

from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic
from typing import NamedTuple

from msgspec.structs import replace

from parley.shared.events import TypingChanged

EXPIRY_SECONDS = 5.0
RENEWAL_SECONDS = 2.0
"""How often a renewed start is emitted again: clients let a start expire, too."""


class _Typing(NamedTuple):
    expires_at: float
    emitted_at: float
    event: TypingChanged


class TypingBoard:
    """Expires what this node has emitted, so that no user types for ever when another node crashes."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._typing: dict[tuple[str, str], _Typing] = {}

    def __len__(self) -> int:
        return len(self._typing)

    def apply(self, event: TypingChanged) -> bool:
        """Apply an event. Returns whether to emit it: a stop after a start, a start, some of its renewals."""
        key = (event.conversation_id, event.user.id)
        if not event.typing:
            return self._typing.pop(key, None) is not None
        now = self._clock()
        known = self._typing.get(key)
        is_due = known is None or now - known.emitted_at >= RENEWAL_SECONDS
        emitted_at = now if known is None or is_due else known.emitted_at
        self._typing[key] = _Typing(now + EXPIRY_SECONDS, emitted_at, event)
        return is_due

    def stop(self, conversation_id: str, user_id: str, at: datetime) -> TypingChanged | None:
        """Remove a user's start, if there is one, and return its stop."""
        typing = self._typing.pop((conversation_id, user_id), None)
        return None if typing is None else replace(typing.event, typing=False, at=at)

    def take_expired(self) -> list[TypingChanged]:
        """Remove the starts that were not renewed in time, and return a stop for each."""
        now = self._clock()
        expired = [key for key, typing in self._typing.items() if typing.expires_at <= now]
        return [_stop(self._typing.pop(key).event) for key in expired]


def _stop(event: TypingChanged) -> TypingChanged:
    return replace(event, typing=False, at=event.at + timedelta(seconds=EXPIRY_SECONDS))
