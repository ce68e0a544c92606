"""The delivery log: recently delivered records and messages, to drop duplicates."""

from collections.abc import Collection
from itertools import count

from parley.gateway.services.receipts import RecentMessages
from parley.gateway.state.bounded_dict import BoundedDict
from parley.shared.events import MessageStored

REMEMBERED = 20_000
"""Records and conversations that are remembered."""


class DeliveryLog:
    """Remembers delivered records and messages, up to a bound.

    Args:
        messages: The messages that were delivered last, which the log adds to.
    """

    def __init__(self, messages: RecentMessages) -> None:
        self._messages = messages
        self._records: BoundedDict[str, None] = BoundedDict(REMEMBERED)
        self._ticks: BoundedDict[str, int] = BoundedDict(REMEMBERED)
        self._clock = count()
        self._latest = ""
        """The conversation whose message was delivered last: its tick is the highest already."""

    def add(self, event: MessageStored) -> None:
        """Note the delivery of a message."""
        message = event.message
        self._records.put(event.record_id, None)
        self._messages.put(message.id, (message.conversation_id, message.seq))
        if message.conversation_id != self._latest:
            self._latest = message.conversation_id
            self._ticks.put(self._latest, next(self._clock))

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
