"""Room membership: keeps the client manager's rooms as the sessions' rooms say, once for each protocol."""

from collections.abc import Collection, Iterable
from typing import Protocol

from parley.gateway.live.session_rooms import Protocols, SessionRooms, protocol_room
from parley.gateway.live.sessions import Session, Sessions, SessionState
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.pubsub.redis_manager import RedisManager


class MembershipObserver(Protocol):
    """Is told of changes; implemented by `recovery.session_snapshots.SessionSnapshots`."""

    def room_changed(self, session: Session, room: str) -> None:
        """Handle that a session has entered or left a room."""

    def session_changed(self, session: Session) -> None:
        """Handle that a session went live, or that its protocols were narrowed."""


class RoomMembership:
    """Enters sessions into rooms and takes them out again, now or when their connection is complete."""

    def __init__(
        self,
        manager: RedisManager,
        sessions: Sessions,
        session_rooms: SessionRooms,
        observer: MembershipObserver,
    ) -> None:
        self._manager = manager
        self._sessions = sessions
        self._session_rooms = session_rooms
        self._observer = observer

    async def subscribe(self, names: Iterable[str]) -> None:
        """Subscribe to the channels of rooms that sessions are about to enter. Raises `Unavailable`."""
        await self._manager.subscribe(names)

    async def subscribe_and_enter(self, session: Session, names: Iterable[str]) -> None:
        """Subscribe to the channels of rooms, then enter a session into them. Raises `Unavailable`."""
        wanted = list(names)
        await self._manager.subscribe(wanted)
        for room in wanted:
            self.enter(session, room)

    def activate(self, session: Session) -> None:
        """Let a session that has gone live receive the events of its rooms."""
        self._session_rooms.set_entered(session)
        self._add_to_manager(session, self._session_rooms.rooms(session), are_retained=True)
        self._observer.session_changed(session)

    def release(self, session: Session) -> None:
        """Forget the rooms of a session that has gone; the manager drops the ones it knows by itself."""
        if not self._session_rooms.has_entered(session):
            self._manager.release_all(self._session_rooms.rooms(session))
        self._session_rooms.remove(session)

    def narrow(self, session: Session, protocols: Protocols) -> None:
        """Keep only some of a session's protocols: it leaves the rooms of the others."""
        dropped = [p for p in self._session_rooms.protocols(session) if p not in protocols]
        for room in self._session_rooms.rooms(session):
            self._remove_from_manager(session, room, dropped)
        self._session_rooms.narrow(session, protocols)
        self._observer.session_changed(session)

    def enter(self, session: Session, room: str) -> None:
        """Enter a session into a room: at once if it is live, else when it goes live."""
        self.enter_all(session, [room])
        self._observer.room_changed(session, room)

    def enter_all(self, session: Session, names: Collection[str]) -> None:
        """Enter a session into rooms of conversations, of which the observer needs not be told."""
        if self._sessions.state(session) is SessionState.CLOSING:
            return
        if self._session_rooms.has_entered(session):
            self._add_to_manager(session, names)
        else:
            entered = self._session_rooms.rooms(session)
            # A replay may outlast an unused subscription's linger; the reservation keeps the channel.
            self._manager.retain_all([room for room in names if room not in entered])
        self._session_rooms.enter(session, names)

    def leave(self, session: Session, room: str) -> None:
        """Take a session out of a room."""
        if self._session_rooms.is_in(session, room) and not self._session_rooms.has_entered(session):
            self._manager.release(room)
        self._session_rooms.leave(session, room)
        self._remove_from_manager(session, room, self._session_rooms.protocols(session))
        self._observer.room_changed(session, room)

    def mute(self, session: Session) -> None:
        """Stop all delivery to a session; its rooms stay known, so that its leaving them is announced."""
        for room in self._session_rooms.rooms(session):
            self._remove_from_manager(session, room, self._session_rooms.protocols(session))

    def _add_to_manager(
        self, session: Session, names: Collection[str], *, are_retained: bool = False
    ) -> None:
        for protocol in self._session_rooms.protocols(session):
            of_protocol = protocol_room("", protocol)
            parts = [room + of_protocol for room in names]
            self._manager.enter_all(session.sid, session.namespace, parts, are_retained=are_retained)
            # The reservation is one use of a channel; each further protocol is one more.
            are_retained = False

    def _remove_from_manager(self, session: Session, room: str, protocols: Iterable[ClientProtocol]) -> None:
        for protocol in protocols:
            self._manager.basic_leave_room(session.sid, session.namespace, protocol_room(room, protocol))
