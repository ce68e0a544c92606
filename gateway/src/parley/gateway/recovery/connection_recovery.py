"""Recovery: a client that lost its socket goes on where it was, on whatever gateway it comes to."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from parley.gateway.core.errors import ChatError, Unavailable
from parley.gateway.core.ports import Messages, People
from parley.gateway.core.session_snapshot import Position, SnapshotStore, keepsake_of, offset_of, resume
from parley.gateway.live.connection_manager import ConnectionManager
from parley.gateway.live.fanout import FanOut
from parley.gateway.live.sessions import Session
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.recovery.session_snapshots import SessionSnapshots
from parley.gateway.state.replay import Span, has_changed, in_order
from parley.gateway.state.streams import Streams
from parley.shared import rooms
from parley.shared.events import MessageStored, Numbered

log = structlog.get_logger()

PID = re.compile(r"[A-Za-z0-9_-]{22}")
PAGE = 200
"""What may have changed in a conversation meanwhile; who missed more has to read the history."""
REJOIN_SECONDS = 5.0
MUCH, PACE_SECONDS, PACE_LOOKS = 0.25, 0.02, 500
"""Of what a client may leave unread, how much at once; how long, and how often it is waited for."""
LAG_SECONDS, LAG_LOOKS = 0.02, 50
"""How long, and how often, a node that is behind what a client has heard is waited for."""

Missed = tuple[Numbered, str | None]
"""Something to tell, and the offset to tell after it."""


@dataclass(frozen=True, slots=True)
class RestoredSession:
    """A socket that was lost: its private id, its vocabularies, and from where it is to go on."""

    pid: str
    speaks: tuple[ClientProtocol, ...]
    points: Mapping[str, Position | None]


class ConnectionRecovery:
    """Has a new socket stand where the one stood that its client has lost."""

    def __init__(
        self,
        snapshot_store: SnapshotStore,
        *,
        snapshots: SessionSnapshots,
        connection_manager: ConnectionManager,
        streams: Streams,
        messages: Messages,
        people: People,
        fanout: FanOut,
        manager: RedisManager,
    ) -> None:
        self._snapshot_store = snapshot_store
        self._snapshots = snapshots
        self._connection_manager = connection_manager
        self._streams = streams
        self._messages = messages
        self._people = people
        self._fanout = fanout
        self._manager = manager
        self._points: dict[str, dict[str, Position]] = {}

    async def recall(
        self, auth: Any, user_id: str, protocols: tuple[ClientProtocol, ...]
    ) -> RestoredSession | None:
        """What is kept of the socket that a client names as it connects, if it was the same user's.

        Raises:
            Unavailable: it cannot be found out; who begins anew now has lost it for good.
        """
        pid = auth.get("pid") if isinstance(auth, dict) else None
        if not isinstance(pid, str) or not PID.fullmatch(pid):
            return None
        keepsake = keepsake_of(await self._snapshot_store.find(pid))
        if keepsake is None or keepsake.user_id != user_id:
            return None
        speaks = tuple(v for v in protocols if v.name in keepsake.speaks)
        return RestoredSession(pid, speaks, resume(keepsake, auth.get("offset"))) if speaks else None

    async def rejoin(self, session: Session, recalled: RestoredSession) -> None:
        """Join again what the lost socket had joined, as far as the user still may.

        When nothing is left unknown the session takes over the private id, by which its client sees it.
        """
        try:
            async with asyncio.timeout(REJOIN_SECONDS):
                known = [await self._rejoin(session, *point) for point in recalled.points.items()]
        except TimeoutError:
            log.warning("a socket could not join again in time", user=session.person.id)
            return
        except Exception:
            log.exception("a socket could not join again", user=session.person.id)
            return
        if all(known):
            session.pid = recalled.pid

    async def _rejoin(self, session: Session, conversation_id: str, point: Position | None) -> bool:
        """Whether nothing will be missing that the user may hear."""
        if point is not None:
            session.heard[conversation_id] = point
        try:
            await self._connection_manager.join(session, conversation_id)
        except ChatError as error:
            session.heard.pop(conversation_id, None)
            return not error.retryable
        if point is None:
            return False
        await self._reach(conversation_id, point)
        self._points.setdefault(session.sid, {})[conversation_id] = point
        return self._head(conversation_id).rev - point.rev <= PAGE

    async def _reach(self, conversation_id: str, point: Position) -> None:
        """Wait until this node is as far as the one before, for its room would tell the rest twice."""
        for _ in range(LAG_LOOKS):
            if self._head(conversation_id).seq >= point.seq:
                return
            await asyncio.sleep(LAG_SECONDS)

    async def catch_up(self, session: Session) -> None:
        """Tell what was missed, up to what the rooms have heard: what comes next, they tell.

        Raises:
            Unavailable: the archive is away.
        """
        points = self._points.pop(session.sid, {})
        while late := [each for each, point in points.items() if self._is_late(session, each, point)]:
            for conversation_id in late:
                points[conversation_id] = await self._tell(session, conversation_id, points[conversation_id])

    async def kept(self, session: Session) -> None:
        """Wait until a client that loses its socket now, however abruptly, finds what it has joined."""
        await self._snapshots.kept(session)

    def ended(self, session: Session, *, lost: bool) -> None:
        """A socket is gone, or is about to be: keep where it stood if its client may come again."""
        self._points.pop(session.sid, None)
        if lost:
            self._snapshots.end(session)
        else:
            self._snapshots.forget(session)

    def _is_late(self, session: Session, conversation_id: str, point: Position) -> bool:
        head = self._head(conversation_id)
        behind = head.seq > point.seq or head.rev > point.rev
        return behind and rooms.joined(conversation_id) in session.places

    async def _tell(self, session: Session, conversation_id: str, point: Position) -> Position:
        """Tell what changed and what is new after a point; the point up to which that was."""
        head = self._head(conversation_id)
        for event, offset in await self._missed(conversation_id, point, head):
            await self._pace(session)
            if rooms.joined(conversation_id) in session.places:
                self._fanout.tell_missed(session, event, offset)
        return Position(max(head.seq, point.seq), max(head.rev, point.rev))

    async def _missed(self, conversation_id: str, point: Position, head: Position) -> list[Missed]:
        since = max(point.seq, head.seq - PAGE)
        changes = await self._messages.changes(conversation_id, point.rev, PAGE)
        changed = [m for m in changes if m.seq <= since and has_changed(m)]
        found = await self._messages.page(conversation_id, PAGE, None, since) if head.seq > since else []
        new = [m for m in found if m.seq <= head.seq]
        people = await self._people.get({m.sender_id for m in (*changed, *new)})
        told = in_order(Span(point.rev, head.rev), changed, new, people)
        return [(event, _offset_after(event, point)) for event in told]

    async def _pace(self, session: Session) -> None:
        """Wait for a client that takes its time: who leaves too much unread is cut off."""
        for _ in range(PACE_LOOKS):
            if self._manager.unread_ratio(session.sid, session.namespace) < MUCH:
                return
            await asyncio.sleep(PACE_SECONDS)
        raise Unavailable("The client is too slow.")

    def _head(self, conversation_id: str) -> Position:
        return Position(*self._streams.head(conversation_id))


def _offset_after(event: Numbered, point: Position) -> str | None:
    if not isinstance(event, MessageStored):
        return None
    return offset_of(event.conversation_id, Position(event.message.seq, point.rev))
