"""Join backfill: a new member's sockets receive what was stored before they entered the room."""

from collections.abc import Callable, Mapping, Sequence

from parley.gateway.core.ports import Messages, People
from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.live.delivery_log import DeliveryLog
from parley.gateway.live.sessions import Session
from parley.gateway.live.streams import Streams
from parley.gateway.state.replay import changed_event, stored_event
from parley.shared.events import Numbered
from parley.shared.model import Membership, Message, Person

PAGE = 200
"""Messages that a new member receives this way; earlier ones are read as history."""
AT_ONCE = 50
"""Messages that are read at a time."""


class JoinBackfill:
    """Writes to single sockets what was broadcast to a room before they enter it."""

    def __init__(
        self,
        streams: Streams,
        messages: Messages,
        people: People,
        delivery_log: DeliveryLog,
        broadcaster: Broadcaster,
    ) -> None:
        self._streams = streams
        self._messages = messages
        self._people = people
        self._delivery_log = delivery_log
        self._broadcaster = broadcaster
        self._left: dict[Session, dict[str, int]] = {}

    def left(self, session: Session, conversation_id: str) -> None:
        """Note that a session was removed from a conversation's room, at the stream's present head.

        Membership events can arrive late and out of order. If the session enters the room again, the
        backfill starts here, so that nothing is written twice.
        """
        head = self._streams.head(conversation_id).seq
        self._left.setdefault(session, {})[conversation_id] = head

    def forget(self, session: Session) -> None:
        """Forget a session that has gone."""
        self._left.pop(session, None)

    async def run(self, membership: Membership, outside: Callable[[], Sequence[Session]]) -> None:
        """Write what was stored since the member joined, up to what was broadcast to the room.

        There is no await between the last check and the return: the caller can let the sessions enter
        the room without a gap.

        Args:
            membership: the member, as it was read after the subscription was confirmed.
            outside: returns the member's live sessions that are not in the room; they can become more
                or fewer meanwhile.
        """
        conversation_id = membership.conversation_id
        begin = max(membership.join_seq, self._streams.head(conversation_id).seq - PAGE)
        with self._streams.recorded_changes(conversation_id) as changes:
            await self._write_new(conversation_id, begin, outside)
            # A message may have been read before it changed; one read afterwards gets its change twice.
            for event in (e for e in changes if e.message.seq > begin):
                self._write(outside(), event)

    async def _write_new(
        self, conversation_id: str, begin: int, outside: Callable[[], Sequence[Session]]
    ) -> None:
        reached: dict[Session, int] = {}
        while behind := self._behind(conversation_id, outside(), reached, begin):
            for session in behind:
                if session not in reached:
                    reached[session] = max(begin, self._left.get(session, {}).pop(conversation_id, 0))
            since = min(reached[session] for session in behind)
            messages = await self._messages.page(conversation_id, AT_ONCE, None, since)
            people = await self._people.get({m.sender_id for m in messages})
            # A session that was removed while the page was read receives nothing more.
            here = outside()
            head = self._streams.head(conversation_id).seq
            for message in (m for m in messages if m.seq <= head):
                due = [s for s in behind if s in here and reached[s] < message.seq]
                self._write_message(due, message, people)
            last = max([since + 1, *(m.seq for m in messages if m.seq <= head)])
            reached |= {session: max(last, reached[session]) for session in behind}

    def _behind(
        self, conversation_id: str, sessions: Sequence[Session], reached: Mapping[Session, int], begin: int
    ) -> list[Session]:
        head = self._streams.head(conversation_id).seq
        return [session for session in sessions if reached.get(session, begin) < head]

    def _write_message(
        self, sessions: Sequence[Session], message: Message, people: Mapping[str, Person]
    ) -> None:
        self._write(sessions, stored_event(message, people))
        if message.deleted_at is not None:
            self._write(sessions, changed_event(message, people))

    def _write(self, sessions: Sequence[Session], event: Numbered) -> None:
        delivered = self._delivery_log.has_delivered(event.message.id)
        self._broadcaster.backfill_to(sessions, event, delivered=delivered)
