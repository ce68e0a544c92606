"""Who is typing, as this node has told its clients; a start that is not renewed lapses here."""

from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import NamedTuple

from msgspec.structs import replace

from parley.shared.events import TypingChanged

LAPSE_SECONDS = 5.0
RETOLD_SECONDS = 2.0
"""How often a start that is renewed is told again: clients let what they heard lapse, too."""


class _Typing(NamedTuple):
    until: float
    told: float
    event: TypingChanged


class TypingBoard:
    """Each node lapses what it told, so no node's death leaves someone typing for ever."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._typing: dict[tuple[str, str], _Typing] = {}

    def __len__(self) -> int:
        return len(self._typing)

    def heard(self, event: TypingChanged) -> bool:
        """Note an event; whether it is news for the clients: a renewal is, now and then."""
        key = (event.conversation_id, event.user.id)
        if not event.typing:
            return self._typing.pop(key, None) is not None
        now = self._clock()
        known = self._typing.get(key)
        news = known is None or now - known.told >= RETOLD_SECONDS
        told = now if known is None or news else known.told
        self._typing[key] = _Typing(now + LAPSE_SECONDS, told, event)
        return news

    def lapsed(self) -> list[TypingChanged]:
        """The stops of those whose start was not renewed in time."""
        now = self._clock()
        over = [key for key, typing in self._typing.items() if typing.until <= now]
        return [self._stop(self._typing.pop(key).event) for key in over]

    def _stop(self, event: TypingChanged) -> TypingChanged:
        return replace(event, typing=False, at=event.at + timedelta(seconds=LAPSE_SECONDS))
