"""The sockets that are connected to this node, and who is behind each."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from parley.gateway.auth import Identity
from parley.gateway.core.session_snapshot import Position
from parley.gateway.protocols.protocol import ClientProtocol
from parley.shared import rooms
from parley.shared.model import Person

PID_BYTES = 16


@dataclass(slots=True, eq=False)
class Session:
    """One socket of one person; `speaks` are the vocabularies that its words have left possible.

    `places` are the rooms that are its own; in each it hears what is for sockets of its vocabularies.
    `identity` is by the token that it was let in with, or has renewed itself with since.
    `pid` is its private id, by which its client finds again what is kept of it when it is lost; `heard`
    is how far the client is known to have heard the conversations that it has joined. `left` is the last
    number that the rooms of those told it that it was put out of: the news of that may come late.
    """

    sid: str
    person: Person
    speaks: tuple[ClientProtocol, ...]
    places: set[str]
    connected: bool = False
    online: tuple[str, ...] = ()
    identity: Identity | None = None
    pid: str = field(default_factory=lambda: secrets.token_urlsafe(PID_BYTES), repr=False)
    heard: dict[str, Position] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    recoverable: bool = True

    @property
    def namespace(self) -> str:
        """The Socket.IO namespace that the socket is connected to."""
        return self.speaks[0].namespace

    @property
    def joined(self) -> list[str]:
        """The conversations that the socket has joined."""
        found = (rooms.joined_id(place) for place in self.places)
        return [conversation_id for conversation_id in found if conversation_id is not None]


def within(room: str, protocol: ClientProtocol) -> str:
    """The room for sockets of a vocabulary within a room."""
    return f"{room}/{protocol.name}"


class Sessions:
    """Sessions by socket and by user."""

    def __init__(self) -> None:
        self._by_sid: dict[str, Session] = {}
        self._by_user: dict[str, set[Session]] = {}

    def add(self, session: Session) -> None:
        """A socket is connected."""
        self._by_sid[session.sid] = session
        self._by_user.setdefault(session.person.id, set()).add(session)

    def pop(self, sid: str) -> Session | None:
        """A socket is gone."""
        session = self._by_sid.pop(sid, None)
        if session is not None:
            of_user = self._by_user[session.person.id]
            of_user.discard(session)
            if not of_user:
                del self._by_user[session.person.id]
        return session

    def get(self, sid: str) -> Session | None:
        """The session of a socket."""
        return self._by_sid.get(sid)

    def of_user(self, user_id: str) -> list[Session]:
        """A user's sessions on this node."""
        return list(self._by_user.get(user_id, ()))

    def in_place(self, name: str) -> list[Session]:
        """The sessions that have a place in a room."""
        return [session for session in self._by_sid.values() if name in session.places]

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_sid.values()))

    def connected_users(self) -> list[str]:
        """The users who have a connected socket on this node."""
        return [u for u, sessions in self._by_user.items() if any(s.connected for s in sessions)]

    def joined(self) -> set[str]:
        """The conversations that some socket of this node has joined."""
        return {c for s in self._by_sid.values() for c in s.joined}

    def __len__(self) -> int:
        return len(self._by_sid)
