"""Newcomers: whoever comes into a conversation hears what was said since, though it was before their room."""

from collections.abc import Callable, Mapping, Sequence

from parley.gateway.core.ports import Messages, People
from parley.gateway.live.fanout import FanOut
from parley.gateway.live.sessions import Session
from parley.gateway.state.replay import changed_event, stored_event
from parley.gateway.state.streams import Streams
from parley.shared.model import Membership, Message, Person

PAGE = 200
"""Messages that one who came late is told; past that they read the history."""


class JoinBackfill:
    """Tells sockets one by one what their room will not tell them."""

    def __init__(self, streams: Streams, messages: Messages, people: People, fanout: FanOut) -> None:
        self._streams = streams
        self._messages = messages
        self._people = people
        self._fanout = fanout

    async def catch_up(self, membership: Membership, outside: Callable[[], Sequence[Session]]) -> None:
        """Tell what was said since the member came, up to what the room's sockets have heard.

        `outside` gives a member's sockets that are connected and not in the room, which may become more. When
        it returns nothing lies between: what comes next, the room tells.
        """
        conversation_id = membership.conversation_id
        begin = max(membership.join_seq, self._streams.head(conversation_id)[0] - PAGE)
        with self._streams.overhearing(conversation_id) as changes:
            await self._tell_new(conversation_id, begin, outside)
            # What was read before it changed; what was read after, they are told of once more.
            for event in (e for e in changes if e.message.seq > begin):
                self._fanout.tell_late(outside(), event)

    async def _tell_new(
        self, conversation_id: str, begin: int, outside: Callable[[], Sequence[Session]]
    ) -> None:
        told: dict[str, int] = {}
        while late := self._late(conversation_id, outside(), told, begin):
            for session in late:
                told.setdefault(session.sid, max(begin, session.left.pop(conversation_id, 0)))
            since = min(told[session.sid] for session in late)
            messages = await self._messages.page(conversation_id, PAGE, None, since)
            people = await self._people.get({m.sender_id for m in messages})
            # Who was put out meanwhile is told nothing more.
            here = outside()
            heard = self._streams.head(conversation_id)[0]
            for message in (m for m in messages if m.seq <= heard):
                due = [s for s in late if s in here and told[s.sid] < message.seq]
                self._tell(due, message, people)
            reached = max([since + 1, *(m.seq for m in messages if m.seq <= heard)])
            told |= {s.sid: max(reached, told[s.sid]) for s in late}

    def _late(
        self, conversation_id: str, sessions: Sequence[Session], told: dict[str, int], begin: int
    ) -> list[Session]:
        head = self._streams.head(conversation_id)[0]
        return [session for session in sessions if told.get(session.sid, begin) < head]

    def _tell(self, sessions: Sequence[Session], message: Message, people: Mapping[str, Person]) -> None:
        self._fanout.tell_late(sessions, stored_event(message, people))
        if message.deleted_at is not None:
            self._fanout.tell_late(sessions, changed_event(message, people))
