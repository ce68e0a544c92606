"""Seats: the rooms that each socket is in, once for every vocabulary that it may speak."""

from collections.abc import Callable, Iterable

from parley.gateway.live.sessions import Session, Sessions, within
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.pubsub.redis_manager import RedisManager


class RoomMembership:
    """Keeps the manager's rooms as the sessions' places have it."""

    def __init__(self, manager: RedisManager, sessions: Sessions) -> None:
        self._manager = manager
        self._sessions = sessions
        self.on_change: Callable[[Session, str | None], None] = lambda _session, _place: None
        """Called with the place that a session has entered or left; with None for any other change."""

    async def prepare(self, session: Session, names: Iterable[str]) -> None:
        """Have a session in rooms whose channels are subscribed to. Raises `Unavailable`."""
        wanted = list(names)
        await self._manager.subscribe(wanted)
        for name in wanted:
            self.enter(session, name)

    async def subscribe(self, names: Iterable[str]) -> None:
        """Subscribe to the channels of rooms that sessions enter in a moment. Raises `Unavailable`."""
        await self._manager.subscribe(names)

    def connect(self, session: Session) -> None:
        """The socket is connected: it hears its rooms from now on."""
        session.connected = True
        for place in session.places:
            self._enter(session, place)
            self._manager.release(place)
        self.on_change(session, None)

    def give_up(self, session: Session) -> None:
        """The socket is gone. The rooms that it is in are left by the manager."""
        if not session.connected:
            for place in session.places:
                self._manager.release(place)
            session.places.clear()

    def decide(self, session: Session, speaks: tuple[ClientProtocol, ...]) -> None:
        """The socket's words have told which vocabularies it speaks: it hears the others no more."""
        for place in session.places:
            for protocol in session.speaks:
                if protocol not in speaks:
                    self._manager.basic_leave_room(session.sid, session.namespace, within(place, protocol))
        session.speaks = speaks
        self.on_change(session, None)

    def enter(self, session: Session, name: str) -> None:
        """Have a session in a room, at once or when it is connected; not if it is gone."""
        if self._sessions.get(session.sid) is session:
            if session.connected:
                self._enter(session, name)
            elif name not in session.places:
                # What its client missed may take longer to be told than a subscription stays unused.
                self._manager.retain(name)
            session.places.add(name)
            self.on_change(session, name)

    def leave(self, session: Session, name: str) -> None:
        """Have a session out of a room."""
        if name in session.places and not session.connected:
            self._manager.release(name)
        session.places.discard(name)
        for protocol in session.speaks:
            self._manager.basic_leave_room(session.sid, session.namespace, within(name, protocol))
        self.on_change(session, name)

    def mute(self, session: Session) -> None:
        """Have a session hear nothing any more; its places stay known, for others are told that it leaves."""
        for place in session.places:
            for protocol in session.speaks:
                self._manager.basic_leave_room(session.sid, session.namespace, within(place, protocol))

    def _enter(self, session: Session, name: str) -> None:
        for protocol in session.speaks:
            self._manager.basic_enter_room(session.sid, session.namespace, within(name, protocol))
