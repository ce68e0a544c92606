"""Connection state recovery: a client that lost its socket continues where it was, on any gateway.

The client's library sends the private id and the last offset it received when it connects again
(https://socket.io/docs/v4/connection-state-recovery).
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from parley.gateway import gauges
from parley.gateway.core.errors import ChatError, Unavailable
from parley.gateway.core.ports import Messages, People
from parley.gateway.core.positions import Position, Revision, offset_of
from parley.gateway.core.session_snapshot import SnapshotStore, from_fields, resume_points
from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.live.connection_manager import ConnectionManager
from parley.gateway.live.session_rooms import Protocols, SessionRooms
from parley.gateway.live.sessions import Session, Sessions, SessionState
from parley.gateway.live.streams import Streams
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.recovery.session_snapshots import SessionSnapshots
from parley.gateway.services.epochs import Epochs
from parley.gateway.state.answer_budget import AnswerBudget
from parley.gateway.state.replay import Read, Slice, next_slice
from parley.shared import rooms
from parley.shared.events import MessageStored, Numbered
from parley.shared.model import Message

log = structlog.get_logger()

PID = re.compile(r"[A-Za-z0-9_-]{22}")
PAGE = 200
"""Changes of one conversation that a replay brings; a client that missed more reads the history."""
AT_ONCE = 10
"""Changes, and new messages, that a replay reads at a time."""
SLICE_BYTES = 512 * 1024
"""Bytes of the `AnswerBudget` that those count as."""
REJOIN_SECONDS = 5.0
BUFFER_SHARE, BUFFER_WAIT_SECONDS, BUFFER_WAITS = 0.25, 0.02, 500
"""A replay pauses while the client has this share of its unread limit in the buffer: how long, how often."""
LAG_WAIT_SECONDS, LAG_WAITS = 0.02, 50
"""A replay waits for this node's stream to reach what the client has received: how long, how often."""


@dataclass(frozen=True, slots=True)
class RestoredSession:
    """The socket that a client has lost: its private id, protocols, and where to resume each conversation."""

    pid: str
    protocols: Protocols
    points: Mapping[str, Position | None]


class ConnectionRecovery:
    """Puts a new socket in the place of the one that its client has lost, and replays what it missed."""

    def __init__(
        self,
        store: SnapshotStore,
        *,
        snapshots: SessionSnapshots,
        connection_manager: ConnectionManager,
        sessions: Sessions,
        session_rooms: SessionRooms,
        streams: Streams,
        messages: Messages,
        people: People,
        broadcaster: Broadcaster,
        manager: RedisManager,
        epochs: Epochs,
        answers: AnswerBudget,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._connection_manager = connection_manager
        self._sessions = sessions
        self._session_rooms = session_rooms
        self._streams = streams
        self._messages = messages
        self._people = people
        self._broadcaster = broadcaster
        self._manager = manager
        self._epochs = epochs
        self._answers = answers
        self._points: dict[str, dict[str, Position]] = {}

    async def find(self, auth: Any, user_id: str, protocols: Protocols) -> RestoredSession | None:
        """Return the socket that a client names as it connects, if it was the same user's.

        Raises:
            Unavailable: Redis is away. The connection must be retried, not started anew: a client that
                is given a new private id forgets the old one.
        """
        pid = auth.get("pid") if isinstance(auth, dict) else None
        if not isinstance(pid, str) or not PID.fullmatch(pid):
            return None
        snapshot = from_fields(await self._store.find(pid))
        if snapshot is None or snapshot.user_id != user_id:
            gauges.recoveries.labels("unknown").inc()
            return None
        known = tuple(p for p in protocols if p.name in snapshot.protocols)
        return RestoredSession(pid, known, resume_points(snapshot, auth.get("offset"))) if known else None

    async def rejoin(self, session: Session, restored: RestoredSession) -> None:
        """Join again what the lost socket had joined, as far as the user still may.

        The session takes over the private id, which tells the client that it was recovered, only if
        no conversation remains in which it may have missed something.
        """
        try:
            async with asyncio.timeout(REJOIN_SECONDS):
                complete = [await self._rejoin(session, *point) for point in restored.points.items()]
        except TimeoutError:
            log.warning("gateway.recovery.timeout", user=session.user_id)
            return
        except Exception:
            log.exception("gateway.recovery.failed", user=session.user_id)
            return
        gauges.recoveries.labels("recovered" if all(complete) else "incomplete").inc()
        if all(complete):
            self._snapshots.take_over(session, restored.pid)

    async def _rejoin(self, session: Session, conversation_id: str, point: Position | None) -> bool:
        """Join one conversation. Returns whether the replay will be complete."""
        if point is not None:
            self._snapshots.set_position(session, conversation_id, point)
        try:
            await self._connection_manager.join(session, conversation_id)
        except ChatError as error:
            self._snapshots.drop_position(session, conversation_id)
            return not error.retryable
        if point is None:
            return False
        if not await self._continues(conversation_id, point):
            self._snapshots.set_position(session, conversation_id, self._streams.head(conversation_id))
            return False
        await self._wait_for_stream(conversation_id, point)
        self._points.setdefault(session.sid, {})[conversation_id] = point
        return self._streams.head(conversation_id).rev - point.rev <= PAGE

    async def _continues(self, conversation_id: str, point: Position) -> bool:
        """Return whether the stored history goes on from what the client has received."""
        here = self._streams.head(conversation_id)
        held = Revision(point.rev, point.epoch)
        return held == (here.rev, here.epoch) or await self._epochs.continues(conversation_id, held)

    async def _wait_for_stream(self, conversation_id: str, point: Position) -> None:
        """Wait until this node is as far as the client: its room would otherwise repeat the difference."""
        for _ in range(LAG_WAITS):
            if self._streams.head(conversation_id).seq >= point.seq:
                return
            await asyncio.sleep(LAG_WAIT_SECONDS)

    async def replay(self, session: Session) -> None:
        """Write what was missed, up to what the rooms have heard; the rooms bring what follows.

        Raises:
            Unavailable: MongoDB is away, or the client reads too slowly.
        """
        points = self._points.pop(session.sid, {})
        # The rooms go on while a page is read, so look again until nothing was added.
        while behind := [each for each, point in points.items() if self._is_behind(session, each, point)]:
            for conversation_id in behind:
                points[conversation_id] = await self._replay(
                    session, conversation_id, points[conversation_id]
                )

    async def written(self, session: Session) -> None:
        """Wait until a socket can be recovered with all that it has joined, however abruptly it is lost."""
        await self._snapshots.written(session)

    def end(self, session: Session, *, recoverable: bool) -> None:
        """Handle the end of a socket: keep its snapshot if its client may come back, else delete it."""
        self._points.pop(session.sid, None)
        self._snapshots.end(session, recoverable=recoverable)

    def _is_behind(self, session: Session, conversation_id: str, point: Position) -> bool:
        head = self._streams.head(conversation_id)
        behind = head.seq > point.seq or head.rev > point.rev
        return behind and self._still_joined(session, conversation_id)

    def _still_joined(self, session: Session, conversation_id: str) -> bool:
        replaying = self._sessions.state(session) is SessionState.REPLAYING
        return replaying and self._session_rooms.is_in(session, rooms.joined(conversation_id))

    async def _replay(self, session: Session, conversation_id: str, point: Position) -> Position:
        """Write the next of what has changed after a point. Returns the position that the client has reached.

        Nothing is read before the client has taken most of what was written.
        """
        await self._wait_for_buffer(session)
        async with self._answers.hold(session.user_id, SLICE_BYTES):
            head = self._streams.head(conversation_id)
            piece = await self._missed(conversation_id, point, head)
            for event in piece.events:
                await self._wait_for_buffer(session)
                if self._still_joined(session, conversation_id):
                    self._broadcaster.replay_to(session, event, _offset_after(event, point))
        return piece.reached

    async def _missed(self, conversation_id: str, point: Position, head: Position) -> Slice:
        reached = point._replace(seq=max(point.seq, head.seq - PAGE))
        if head.rev - point.rev > PAGE:
            # The client was not recovered, and reads the history.
            reached = Position(reached.seq, head.rev - PAGE, head.epoch)
        changes = await self._messages.changes(conversation_id, reached.rev, AT_ONCE)
        new: list[Message] = []
        if head.seq > reached.seq:
            new = await self._messages.page(conversation_id, AT_ONCE, None, reached.seq)
        people = await self._people.get({m.sender_id for m in (*changes, *new)})
        return next_slice(reached, head, Read(changes, new, AT_ONCE), people)

    async def _wait_for_buffer(self, session: Session) -> None:
        """Wait for a slow reader: a client that leaves too much unread would be disconnected."""
        for _ in range(BUFFER_WAITS):
            if self._manager.unread_ratio(session.sid, session.namespace) < BUFFER_SHARE:
                return
            await asyncio.sleep(BUFFER_WAIT_SECONDS)
        raise Unavailable("The client reads too slowly.")


def _offset_after(event: Numbered, point: Position) -> str | None:
    if not isinstance(event, MessageStored):
        return None
    return offset_of(event.conversation_id, Position(event.message.seq, point.rev, point.epoch))
