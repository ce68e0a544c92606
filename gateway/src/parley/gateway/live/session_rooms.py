"""The rooms and the possible protocols of each session: state only, no I/O."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from parley.gateway.live.sessions import Session
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.state.small_sets import SmallSet, with_values, without_value
from parley.shared import rooms

Protocols = tuple[ClientProtocol, ...]


@dataclass(slots=True)
class _Entry:
    protocols: Protocols
    rooms: SmallSet[str] = ()
    entered: bool = False


class SessionRooms:
    """The rooms and protocols of this node's sessions. `RoomMembership` is its only writer."""

    def __init__(self) -> None:
        self._entries: dict[Session, _Entry] = {}

    def add(self, session: Session, protocols: Protocols) -> None:
        """Start a session in no room, with the protocols that its namespace leaves possible."""
        self._entries[session] = _Entry(protocols)

    def remove(self, session: Session) -> None:
        """Forget a session."""
        self._entries.pop(session, None)

    def protocols(self, session: Session) -> Protocols:
        """Return the protocols that a session's events have left possible; () when it has gone."""
        entry = self._entries.get(session)
        return entry.protocols if entry else ()

    def narrow(self, session: Session, protocols: Protocols) -> None:
        """Keep only the protocols that an event was valid in."""
        self._entries[session].protocols = protocols

    def rooms(self, session: Session) -> Collection[str]:
        """Return the rooms of a session; none when it has gone."""
        entry = self._entries.get(session)
        return entry.rooms if entry else ()

    def enter(self, session: Session, names: Collection[str]) -> None:
        """Note that a session is in rooms."""
        entry = self._entries[session]
        entry.rooms = with_values(entry.rooms, names)

    def leave(self, session: Session, room: str) -> None:
        """Note that a session is not in a room."""
        entry = self._entries.get(session)
        if entry is not None:
            entry.rooms = without_value(entry.rooms, room)

    def has_entered(self, session: Session) -> bool:
        """Whether the client manager knows the session's rooms: from its connection's completion on."""
        entry = self._entries.get(session)
        return entry is not None and entry.entered

    def set_entered(self, session: Session) -> None:
        """Note that the client manager knows the session's rooms."""
        self._entries[session].entered = True

    def is_in(self, session: Session, room: str) -> bool:
        """Whether a session is in a room."""
        return room in self.rooms(session)

    def in_room(self, room: str) -> list[Session]:
        """Return the sessions of a room."""
        return [session for session, entry in self._entries.items() if room in entry.rooms]

    def joined_by(self, session: Session) -> list[str]:
        """Return the ids of the conversations whose room a session has joined."""
        return list(_joined(self.rooms(session)))

    def all_joined(self) -> set[str]:
        """Return the ids of the conversations whose room some session has joined."""
        return {joined for entry in self._entries.values() for joined in _joined(entry.rooms)}


def protocol_room(room: str, protocol: ClientProtocol) -> str:
    """Return the room for the sockets of one protocol within a room."""
    return f"{room}/{protocol.name}"


def _joined(names: Collection[str]) -> Iterator[str]:
    found = (rooms.joined_id(name) for name in names)
    return (conversation_id for conversation_id in found if conversation_id is not None)
