"""Writes a snapshot of each socket that has joined something, so that its client can recover elsewhere.

A write that fails is repeated with the next renewal; snapshots are lost with Redis.
"""

import asyncio
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from parley.gateway.background import Background
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.positions import Position, offset_of
from parley.gateway.core.session_snapshot import (
    KEPT_SECONDS,
    ReceivedRange,
    SessionSnapshot,
    SnapshotChange,
    SnapshotStore,
    to_fields,
)
from parley.gateway.live.delivery_log import DeliveryLog
from parley.gateway.live.session_rooms import SessionRooms
from parley.gateway.live.sessions import Session, Sessions
from parley.gateway.live.streams import Streams
from parley.gateway.protocols.protocol import ClientProtocol
from parley.shared import rooms

log = structlog.get_logger()

PID_BYTES = 16
RENEW_SECONDS = KEPT_SECONDS / 4
RENEW_AT_ONCE = 500
WRITE_AT_ONCE = 200
STOP_SECONDS = 2.0


@dataclass(slots=True)
class _Tracked:
    """One session's private id, received positions, and snapshot as written."""

    session: Session
    pid: str = field(repr=False)
    positions: dict[str, Position] = field(default_factory=dict)
    written: dict[str, str] | None = None
    ended: bool = False


class SessionSnapshots:
    """Owns the private ids and positions of this node's sessions; writes snapshots one batch at a time."""

    def __init__(
        self,
        store: SnapshotStore,
        sessions: Sessions,
        session_rooms: SessionRooms,
        protocols: Collection[ClientProtocol],
        streams: Streams,
        delivery_log: DeliveryLog,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._session_rooms = session_rooms
        self._namespaces = [protocol.namespace for protocol in protocols]
        self._streams = streams
        self._delivery_log = delivery_log
        self._tracked: dict[Session, _Tracked] = {}
        self._due: dict[str, tuple[_Tracked, SessionSnapshot | None]] = {}
        self._writing: set[str] = set()
        self._written = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._background = Background()

    def start(self) -> None:
        """Renew the snapshots of living sockets from now on."""
        self._background.repeat(RENEW_SECONDS, self.renew)

    async def stop(self) -> None:
        """Write the final snapshot of all sockets that are still connected."""
        await self._background.stop()
        for session in list(self._tracked):
            self.end(session, recoverable=True)
        writer = self._writer
        if writer is not None:
            await asyncio.wait([writer], timeout=STOP_SECONDS)
            writer.cancel()

    def track(self, session: Session) -> None:
        """Give a session a private id, by which its client can find its snapshot."""
        self._tracked[session] = _Tracked(session, secrets.token_urlsafe(PID_BYTES))

    def untrack(self, session: Session) -> None:
        """Forget a session that was never connected."""
        self._tracked.pop(session, None)

    def private_id(self, session: Session) -> str | None:
        """Return the private id that the client of a session is told."""
        tracked = self._tracked.get(session)
        return tracked.pid if tracked else None

    def take_over(self, session: Session, pid: str) -> None:
        """Have a session continue under the private id of the socket that its client lost."""
        tracked = self._tracked.get(session)
        if tracked is not None:
            tracked.pid = pid

    def set_position(self, session: Session, conversation_id: str, at: Position) -> None:
        """Note how far the client of a session has received a conversation it is about to join."""
        tracked = self._tracked.get(session)
        if tracked is not None:
            tracked.positions[conversation_id] = at

    def drop_position(self, session: Session, conversation_id: str) -> None:
        """Undo `set_position`: the session could not join."""
        tracked = self._tracked.get(session)
        if tracked is not None:
            tracked.positions.pop(conversation_id, None)

    def room_changed(self, session: Session, room: str) -> None:
        """Handle that a session has entered or left a room; only joined conversations matter here."""
        conversation_id = rooms.joined_id(room)
        tracked = self._tracked.get(session)
        if conversation_id is None or tracked is None:
            return
        if self._session_rooms.is_in(session, room):
            tracked.positions.setdefault(conversation_id, self._streams.head(conversation_id))
        elif tracked.positions.pop(conversation_id, None) and self._session_rooms.has_entered(session):
            # The offset of a conversation that was left says nothing of the others: start them anew.
            tracked.positions = {each: self._streams.head(each) for each in tracked.positions}
        self.session_changed(session)

    def session_changed(self, session: Session) -> None:
        """Handle that a session went live, or that its protocols were narrowed."""
        tracked = self._tracked.get(session)
        if tracked is not None and self._session_rooms.has_entered(session) and self._is_worth_it(tracked):
            self._put(tracked, None)

    async def written(self, session: Session) -> None:
        """Wait until the latest snapshot of a session is written, or cannot be for now."""
        while self._writer is not None and (session.sid in self._due or session.sid in self._writing):
            await self._written.wait()

    def end(self, session: Session, *, recoverable: bool) -> None:
        """Write the final snapshot of a session that is gone, or delete it if it is not recoverable."""
        tracked = self._tracked.pop(session, None)
        if tracked is None:
            return
        tracked.ended = True
        if self._is_worth_it(tracked):
            self._put(tracked, self._snapshot(tracked) if recoverable else None)

    async def renew(self) -> None:
        """Postpone the expiry of all snapshots; write anew those that are gone, or never arrived."""
        kept = [tracked for tracked in self._tracked.values() if tracked.written is not None]
        for start in range(0, len(kept), RENEW_AT_ONCE):
            part = kept[start : start + RENEW_AT_ONCE]
            gone = set(await self._store.renew([tracked.pid for tracked in part]))
            for tracked in part:
                if tracked.pid in gone:
                    tracked.written = None
        for tracked in list(self._tracked.values()):
            if tracked.written is None:
                self.session_changed(tracked.session)

    def _is_worth_it(self, tracked: _Tracked) -> bool:
        """Whether a snapshot exists already, or would say more than that the socket is a new one."""
        session = tracked.session
        possible = self._namespaces.count(session.namespace)
        narrowed = len(self._session_rooms.protocols(session)) < possible
        return tracked.written is not None or bool(tracked.positions) or narrowed

    def _put(self, tracked: _Tracked, final: SessionSnapshot | None) -> None:
        self._due[tracked.session.sid] = tracked, final
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._due:
                await self._write_batch()
        finally:
            self._writer = None

    @contextmanager
    def _batch(self, sids: Collection[str]) -> Iterator[None]:
        self._writing.update(sids)
        try:
            yield
        finally:
            self._writing.clear()
            written, self._written = self._written, asyncio.Event()
            written.set()

    async def _write_batch(self) -> None:
        due = {sid: self._due.pop(sid) for sid in list(self._due)[:WRITE_AT_ONCE]}
        changes = [self._change(tracked, final) for tracked, final in due.values()]
        try:
            with self._batch(due):
                await self._store.apply(changes)
        except Unavailable:
            for tracked, _ in due.values():
                tracked.written = None
            log.warning("gateway.snapshots.write_failed", sockets=len(due))

    def _change(self, tracked: _Tracked, final: SessionSnapshot | None) -> SnapshotChange:
        """Return the difference to what was written last."""
        before, tracked.written = tracked.written, None
        pid, sid = tracked.pid, tracked.session.sid
        if final is None and tracked.ended:
            return SnapshotChange("forget", pid, sid)
        fields = to_fields(final or self._snapshot(tracked))
        if final is None:
            tracked.written = fields
        if before is None:
            return SnapshotChange("take", pid, sid, fields)
        changed = {name: value for name, value in fields.items() if before.get(name) != value}
        return SnapshotChange("change", pid, sid, changed, [name for name in before if name not in fields])

    def _snapshot(self, tracked: _Tracked) -> SessionSnapshot:
        session = tracked.session
        received = {each: self._received(tracked, each) for each in tracked.positions}
        entered = self._session_rooms.has_entered(session)
        latest = self._delivery_log.latest(tracked.positions) if tracked.ended and entered else None
        last = offset_of(latest, self._streams.head(latest)) if latest is not None else ""
        names = tuple(protocol.name for protocol in self._session_rooms.protocols(session))
        return SessionSnapshot(session.user_id, names, received, last)

    def _received(self, tracked: _Tracked, conversation_id: str) -> ReceivedRange:
        base = tracked.positions[conversation_id]
        if not tracked.ended:
            return ReceivedRange(base)
        entered = self._session_rooms.has_entered(tracked.session)
        return ReceivedRange(base, self._streams.head(conversation_id) if entered else base)
