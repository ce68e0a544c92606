"""Join backfill: a new member's sockets receive what was stored before they entered the room."""

from collections.abc import Callable, Mapping, Sequence

from parley.gateway.core.ports import Messages, People
from parley.gateway.core.positions import Position
from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.live.delivery_log import DeliveryLog
from parley.gateway.live.sessions import Session
from parley.gateway.live.streams import Streams
from parley.gateway.state.replay import changed_event, has_changed, stored_event
from parley.shared.events import Numbered
from parley.shared.model import Membership, Message, Person

PAGE = 200
"""Messages, and changes, that a new member receives this way; earlier ones are read as history."""
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
        self._reached: dict[Session, dict[str, Position]] = {}

    def left(self, session: Session, conversation_id: str) -> None:
        """Note that a session was removed from a conversation's room, at the stream's present head.

        Membership events can arrive late and out of order. If the session enters the room again, the
        backfill starts here, so that nothing is missing and nothing is written twice.
        """
        self._reached.setdefault(session, {})[conversation_id] = self._streams.head(conversation_id)

    def forget(self, session: Session) -> None:
        """Forget a session that has gone."""
        self._reached.pop(session, None)

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
        head = self._streams.head(conversation_id)
        begin = head._replace(seq=max(membership.join_seq, head.seq - PAGE))
        with self._streams.recorded_changes(conversation_id) as changes:
            while behind := self._behind(conversation_id, outside(), begin):
                await self._write_missed(conversation_id, behind, begin, outside)
            # A message may have been read before it changed; one read afterwards gets its change twice.
            for event in changes:
                self._write(outside(), event)
        for session in outside():
            self._reached.get(session, {}).pop(conversation_id, None)

    def _behind(
        self, conversation_id: str, sessions: Sequence[Session], begin: Position
    ) -> dict[Session, Position]:
        """Return the sessions that have missed something, each with the position that it has reached."""
        head = self._streams.head(conversation_id)
        reached = {s: self._reached.get(s, {}).get(conversation_id, begin) for s in sessions}
        at = {s: each._replace(seq=max(each.seq, begin.seq)) for s, each in reached.items()}
        return {s: each for s, each in at.items() if each.seq < head.seq or each.rev < begin.rev}

    async def _write_missed(
        self,
        conversation_id: str,
        behind: Mapping[Session, Position],
        begin: Position,
        outside: Callable[[], Sequence[Session]],
    ) -> None:
        """Write the next of what sessions have missed, and note what they have reached with it."""
        head, since = self._streams.head(conversation_id).seq, min(at.seq for at in behind.values())
        rev = max(begin.rev - PAGE, min(at.rev for at in behind.values()))
        messages = await self._messages.page(conversation_id, AT_ONCE, None, since)
        changes = await self._messages.changes(conversation_id, rev, PAGE) if rev < begin.rev else []
        changed = list(filter(has_changed, changes))
        people = await self._people.get({m.sender_id for m in (*messages, *changed)})
        broadcast = self._streams.head(conversation_id).seq
        new = [m for m in messages if m.seq <= broadcast]
        # Messages may have been stored since the page was read.
        last = new[-1].seq if new else min(since + 1, head)
        # A session that was removed while the page was read receives nothing more.
        here = {session: at for session, at in behind.items() if session in outside()}
        for message in changed:
            due = [s for s, at in here.items() if message.seq <= at.seq and at.rev < message.rev <= begin.rev]
            self._write(due, changed_event(message, people))
        for message in new:
            self._write_message([s for s, at in here.items() if at.seq < message.seq], message, people)
        for session, at in here.items():
            self._reached.setdefault(session, {})[conversation_id] = begin._replace(seq=max(last, at.seq))

    def _write_message(
        self, sessions: Sequence[Session], message: Message, people: Mapping[str, Person]
    ) -> None:
        self._write(sessions, stored_event(message, people))
        if message.deleted_at is not None:
            self._write(sessions, changed_event(message, people))

    def _write(self, sessions: Sequence[Session], event: Numbered) -> None:
        delivered = self._delivery_log.has_delivered(event.message.id)
        self._broadcaster.backfill_to(sessions, event, delivered=delivered)
