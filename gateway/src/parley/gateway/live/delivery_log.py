"""The delivery log: recently delivered records and messages, to drop duplicates."""

from collections.abc import Collection
from itertools import count

from parley.gateway.state.bounded_dict import BoundedDict
from parley.shared.events import MessageStored

REMEMBERED = 20_000
"""Records, messages and conversations that are remembered."""


class DeliveryLog:
    """Remembers delivered records and messages, up to a bound."""

    def __init__(self) -> None:
        self._records: BoundedDict[str, None] = BoundedDict(REMEMBERED)
        self._messages: BoundedDict[str, None] = BoundedDict(REMEMBERED)
        self._ticks: BoundedDict[str, int] = BoundedDict(REMEMBERED)
        self._clock = count()

    def add(self, event: MessageStored) -> None:
        """Note the delivery of a message."""
        self._records.put(event.record_id, None)
        self._messages.put(event.message.id, None)
        self._ticks.put(event.conversation_id, next(self._clock))

    def is_first(self, record_id: str) -> bool:
        """Note an event without a revision by its record; whether it was not delivered before."""
        if record_id in self._records:
            return False
        self._records.put(record_id, None)
        return True

    def has_delivered(self, message_id: str) -> bool:
        """Whether a message was delivered to the rooms of this node."""
        return message_id in self._messages

    def latest(self, conversation_ids: Collection[str]) -> str | None:
        """Return the conversation whose message was delivered last; None if none is remembered."""
        ticks = {each: self._ticks.get(each) for each in conversation_ids}
        known = [(tick, each) for each, tick in ticks.items() if tick is not None]
        return max(known)[1] if known else None
