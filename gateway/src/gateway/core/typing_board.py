"""Who is typing, as this node has told its clients; a start that is not renewed lapses here."""

from collections.abc import Callable
from datetime import timedelta
from time import monotonic

from msgspec.structs import replace

from shared.events import TypingChanged

LAPSE_SECONDS = 5.0


class TypingBoard:
    """Each node lapses what it told, so no node's death leaves someone typing for ever."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._typing: dict[tuple[str, str], tuple[float, TypingChanged]] = {}

    def heard(self, event: TypingChanged) -> bool:
        """Note an event; whether it is news for the clients (a renewal is not)."""
        key = (event.conversation_id, event.user.id)
        if not event.typing:
            return self._typing.pop(key, None) is not None
        news = key not in self._typing
        self._typing[key] = (self._clock() + LAPSE_SECONDS, event)
        return news

    def lapsed(self) -> list[TypingChanged]:
        """The stops of those whose start was not renewed in time."""
        now = self._clock()
        over = [key for key, (deadline, _) in self._typing.items() if deadline <= now]
        return [self._stop(self._typing.pop(key)[1]) for key in over]

    def _stop(self, event: TypingChanged) -> TypingChanged:
        return replace(event, typing=False, at=event.at + timedelta(seconds=LAPSE_SECONDS))
