"""Newcomers: whoever comes into a conversation hears what was said since, though it was before their room."""

from collections.abc import Sequence

from gateway.core.ports import Messages, People
from gateway.core.stream import Streams, changed_event, stored_event
from gateway.sockets.fanout import FanOut
from gateway.sockets.sessions import Session
from shared.model import Membership

PAGE = 200
"""Messages that one who came late is told; past that they read the history."""


class Newcomers:
    """Tells sockets one by one what their room will not tell them."""

    def __init__(self, streams: Streams, messages: Messages, people: People, fanout: FanOut) -> None:
        self._streams = streams
        self._messages = messages
        self._people = people
        self._fanout = fanout

    async def catch_up(self, membership: Membership, sessions: Sequence[Session]) -> None:
        """Tell what was said since the member came, up to what the room's sockets have heard.

        When it returns nothing lies between: what comes next, the room tells.
        """
        conversation_id = membership.conversation_id
        told = max(membership.join_seq, self._streams.head(conversation_id)[0] - PAGE)
        while sessions and told < self._streams.head(conversation_id)[0]:
            messages = await self._messages.page(conversation_id, PAGE, None, told)
            people = await self._people.named({m.sender_id for m in messages})
            heard = self._streams.head(conversation_id)[0]
            for message in (m for m in messages if m.seq <= heard):
                self._fanout.tell_late(sessions, stored_event(message, people))
                if message.deleted_at is not None:
                    self._fanout.tell_late(sessions, changed_event(message, people))
            told = max([told + 1, *(m.seq for m in messages if m.seq <= heard)])
