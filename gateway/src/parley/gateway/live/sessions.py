"""The sockets connected to this node, the user behind each, and the state each one is in."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from parley.gateway.state.small_sets import SmallSet, with_value, without_value


class SessionState(Enum):
    """The life of a session, in this order; CLOSING can follow any other state."""

    CONNECTING = auto()
    """Subscriptions and memberships are being prepared; the client has no answer yet."""
    REPLAYING = auto()
    """The client is connected and receives what it missed; it is in no room yet."""
    LIVE = auto()
    """The client receives the events of its rooms and may send its own."""
    CLOSING = auto()
    """The server is closing the socket: it receives nothing more, and its events are refused."""


_NEXT = {
    SessionState.CONNECTING: (SessionState.REPLAYING, SessionState.CLOSING),
    SessionState.REPLAYING: (SessionState.LIVE, SessionState.CLOSING),
    SessionState.LIVE: (SessionState.CLOSING,),
    SessionState.CLOSING: (),
}


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """One socket of one user. Everything else about it is kept by the part that needs it."""

    sid: str
    namespace: str
    user_id: str


class Sessions:
    """Sessions by socket id and by user, with the state of each."""

    def __init__(self) -> None:
        self._by_sid: dict[str, Session] = {}
        self._by_user: dict[str, SmallSet[Session]] = {}
        self._states: dict[str, SessionState] = {}

    def add(self, session: Session) -> None:
        """Register a session, in state CONNECTING."""
        self._by_sid[session.sid] = session
        self._states[session.sid] = SessionState.CONNECTING
        self._by_user[session.user_id] = with_value(self._by_user.get(session.user_id, ()), session)

    def remove(self, session: Session) -> bool:
        """Forget a session. Returns False if it was not registered (any more)."""
        if self._by_sid.get(session.sid) is not session:
            return False
        del self._by_sid[session.sid], self._states[session.sid]
        of_user = without_value(self._by_user[session.user_id], session)
        if of_user:
            self._by_user[session.user_id] = of_user
        else:
            del self._by_user[session.user_id]
        return True

    def state(self, session: Session) -> SessionState:
        """Return the state of a session; CLOSING for one that is not registered."""
        registered = self._by_sid.get(session.sid) is session
        return self._states[session.sid] if registered else SessionState.CLOSING

    def transition(self, session: Session, to: SessionState) -> bool:
        """Move a session to its next state.

        Returns:
            False, with nothing changed, when the session has gone or `to` does not follow its state:
            it was closed while somebody worked on it.
        """
        if to not in _NEXT[self.state(session)]:
            return False
        self._states[session.sid] = to
        return True

    def is_live(self, session: Session) -> bool:
        """Whether a session is registered and in state LIVE."""
        return self.state(session) is SessionState.LIVE

    def get(self, sid: str) -> Session | None:
        """Return the session of a socket."""
        return self._by_sid.get(sid)

    def of_user(self, user_id: str) -> list[Session]:
        """Return a user's sessions on this node."""
        return list(self._by_user.get(user_id, ()))

    def live_of(self, user_id: str) -> list[Session]:
        """Return a user's sessions that are LIVE."""
        return [session for session in self._by_user.get(user_id, ()) if self.is_live(session)]

    def live_users(self) -> list[str]:
        """Return the ids of the users with a LIVE session on this node."""
        return [user_id for user_id in self._by_user if self.live_of(user_id)]

    def __contains__(self, session: Session) -> bool:
        return self._by_sid.get(session.sid) is session

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_sid.values()))

    def __len__(self) -> int:
        return len(self._by_sid)
