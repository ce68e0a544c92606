"""The keeper: notes what a socket had joined and spoke, so that its client finds it again elsewhere.

What fails is tried again with the next renewal, and may be lost with Redis.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import structlog

from parley.gateway.background import Background
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.session_snapshot import (
    KEPT_SECONDS,
    Change,
    Heard,
    Position,
    SessionSnapshot,
    SnapshotStore,
    fields_of,
    offset_of,
)
from parley.gateway.live.sessions import Session, Sessions
from parley.gateway.protocols.protocol import ClientProtocol
from parley.shared import rooms

log = structlog.get_logger()

RENEW_SECONDS = KEPT_SECONDS / 4
RENEW_AT_ONCE = 500
WRITE_AT_ONCE = 200
STOP_SECONDS = 2.0

Head = Callable[[str], tuple[int, int]]
Latest = Callable[[Collection[str]], str | None]


class SessionSnapshots:
    """Writes what is to be kept of this node's sockets, one flight at a time."""

    def __init__(
        self,
        snapshot_store: SnapshotStore,
        sessions: Sessions,
        protocols: Collection[ClientProtocol],
        *,
        head: Head,
        latest: Latest,
    ) -> None:
        self._snapshot_store = snapshot_store
        self._sessions = sessions
        self._namespaces = [protocol.namespace for protocol in protocols]
        self._head = head
        self._latest = latest
        self._written: dict[str, dict[str, str]] = {}
        self._due: dict[str, tuple[Session, SessionSnapshot | None]] = {}
        self._flying: set[str] = set()
        self._landed = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._background = Background()

    def start(self) -> None:
        """Let nothing lapse whose socket lives."""
        self._background.repeat(RENEW_SECONDS, self.renew)

    async def stop(self) -> None:
        """Note the end of all sockets that are still there."""
        await self._background.stop()
        for session in self._sessions:
            self.end(session)
        writing = self._writing
        if writing is not None:
            await asyncio.wait([writing], timeout=STOP_SECONDS)
            writing.cancel()

    def note(self, session: Session, place: str | None) -> None:
        """A socket has entered or left a place; None: it is connected, or its vocabularies are decided."""
        conversation_id = rooms.joined_id(place) if place is not None else None
        if place is not None and conversation_id is None:
            return
        if conversation_id is not None:
            self._note_room(session, conversation_id, entered=place in session.places)
        if session.connected and session.recoverable and self._is_worth_it(session):
            self._put(session, None)

    async def kept(self, session: Session) -> None:
        """Wait until what was noted of a socket is written, or cannot be now."""
        while self._writing is not None and (session.sid in self._due or session.sid in self._flying):
            await self._landed.wait()

    def end(self, session: Session) -> None:
        """A socket is gone, and its client may come again."""
        if session.recoverable and self._is_worth_it(session):
            self._put(session, self._keepsake(session, ended=True))
        session.recoverable = False

    def forget(self, session: Session) -> None:
        """A socket is gone for good, or is about to be."""
        if session.recoverable and self._is_worth_it(session):
            self._put(session, None)
        session.recoverable = False

    async def renew(self) -> None:
        """Let what is kept lapse later; what is gone, or never arrived, is kept anew."""
        kept = [s for s in self._sessions if s.sid in self._written]
        for start in range(0, len(kept), RENEW_AT_ONCE):
            part = kept[start : start + RENEW_AT_ONCE]
            gone = set(await self._snapshot_store.renew([s.pid for s in part]))
            for session in part:
                if session.pid in gone:
                    self._written.pop(session.sid, None)
        for session in self._sessions:
            if session.sid not in self._written:
                self.note(session, None)

    def _note_room(self, session: Session, conversation_id: str, *, entered: bool) -> None:
        if entered:
            session.heard.setdefault(conversation_id, Position(*self._head(conversation_id)))
            return
        left = session.heard.pop(conversation_id, None)
        if left is not None and session.connected:
            # An offset in a conversation that was left would say nothing of the others.
            session.heard = {each: Position(*self._head(each)) for each in session.heard}

    def _is_worth_it(self, session: Session) -> bool:
        """Whether anything is kept already, or distinguishes the socket from a new one."""
        chosen = len(session.speaks) < self._namespaces.count(session.namespace)
        return session.sid in self._written or bool(session.heard) or chosen

    def _put(self, session: Session, last_will: SessionSnapshot | None) -> None:
        self._due[session.sid] = session, last_will
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._due:
                await self._write_some()
        finally:
            self._writing = None

    @contextmanager
    def _flight(self, sids: Collection[str]) -> Iterator[None]:
        self._flying.update(sids)
        try:
            yield
        finally:
            self._flying.clear()
            landed, self._landed = self._landed, asyncio.Event()
            landed.set()

    async def _write_some(self) -> None:
        due = {sid: self._due.pop(sid) for sid in list(self._due)[:WRITE_AT_ONCE]}
        changes = [self._change(session, last_will) for session, last_will in due.values()]
        try:
            with self._flight(due):
                await self._snapshot_store.keep(changes)
        except Unavailable:
            for sid in due:
                self._written.pop(sid, None)
            log.warning("sockets could not be kept", sockets=len(due))

    def _change(self, session: Session, last_will: SessionSnapshot | None) -> Change:
        """What is new since the last flight."""
        before = self._written.pop(session.sid, None)
        if last_will is None and not session.recoverable:
            return Change("forget", session.pid, session.sid)
        fields = fields_of(last_will or self._keepsake(session))
        if last_will is None:
            self._written[session.sid] = fields
        if before is None:
            return Change("take", session.pid, session.sid, fields)
        new = {name: value for name, value in fields.items() if before.get(name) != value}
        gone = [name for name in before if name not in fields]
        return Change("change", session.pid, session.sid, new, gone)

    def _keepsake(self, session: Session, *, ended: bool = False) -> SessionSnapshot:
        heard = {each: Heard(base, self._told(session, each, ended)) for each, base in session.heard.items()}
        latest = self._latest(session.heard) if ended and session.connected else None
        last = offset_of(latest, Position(*self._head(latest))) if latest is not None else ""
        return SessionSnapshot(session.person.id, tuple(v.name for v in session.speaks), heard, last)

    def _told(self, session: Session, conversation_id: str, ended: bool) -> Position | None:
        if not ended:
            return None
        return Position(*self._head(conversation_id)) if session.connected else session.heard[conversation_id]
