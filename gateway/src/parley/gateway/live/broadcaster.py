"""The broadcaster: writes events to the sockets of this node, each in the payload of its protocol."""

from collections.abc import Iterator, Sequence
from typing import Any

from parley.gateway.core.positions import Position, offset_of
from parley.gateway.core.results import Introduction
from parley.gateway.live.session_rooms import SessionRooms, protocol_room
from parley.gateway.live.sessions import Session
from parley.gateway.protocols.protocol import ClientProtocol, DirectEvent, OutboundEvent
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared import rooms
from parley.shared.events import MessageStored, Numbered

OFFSET = "offset"
"""The event whose payload a recovering client sends back: the position it has received."""


class Broadcaster:
    """Knows rooms and protocols, and nothing of where events come from."""

    def __init__(
        self,
        manager: RedisManager,
        protocols: Sequence[ClientProtocol],
        session_rooms: SessionRooms,
        membership_cache: MembershipCache,
    ) -> None:
        self._manager = manager
        self._protocols = protocols
        self._session_rooms = session_rooms
        self._membership_cache = membership_cache

    def broadcast(self, event: Any, position: Position | None = None) -> None:
        """Write an event to the rooms that each protocol names for it.

        Args:
            event: a shared event, or one of this node's own.
            position: of a numbered event, the position that its receivers have reached with it.
        """
        for protocol in self._protocols:
            for outbound in protocol.outbound_by_trigger.get(type(event), ()):
                if outbound.when(event):
                    self._write_to_room(protocol, outbound, event, position)

    def emit_to(self, session: Session, direct: DirectEvent, value: Any) -> None:
        """Write an event of one socket's own."""
        for each in direct.split(value):
            self._write(session, [direct.event, direct.payload(each)])

    def emit_on_connect(self, session: Session, introduction: Introduction) -> None:
        """Write the events that a socket's protocols emit once it is connected."""
        for protocol in self._session_rooms.protocols(session):
            for direct in protocol.on_connect:
                self.emit_to(session, direct, introduction)

    def emit_event_to(self, sessions: Sequence[Session], event: Any) -> None:
        """Write an event to these sockets only."""
        for session in sessions:
            for outbound in self._outbound(session, event):
                self._write_event(session, outbound, event)

    def backfill_to(self, sessions: Sequence[Session], event: Numbered, *, delivered: bool) -> None:
        """Write an event to sockets that are about to enter a conversation's room and have missed it there.

        Args:
            sessions: sockets of members.
            event: an event of the conversation's stream.
            delivered: whether it was broadcast to this node's rooms: rooms that a socket is in already, such
                as its user's, have then brought it.
        """
        room = rooms.conversation(event.conversation_id)
        for session in self._permitted(sessions, event):
            for outbound in self._outbound(session, event):
                target = outbound.room(event)
                missed = not delivered and self._session_rooms.is_in(session, target)
                if missed or target == room:
                    self._write_event(session, outbound, event)

    def replay_to(self, session: Session, event: Numbered, offset: str | None = None) -> None:
        """Write an event that a recovered socket missed, then the offset that it has reached.

        Of a stored message only what goes to the sockets that joined the conversation: events to all
        members' sockets are not recovered, for no position was kept of them.
        """
        missed_in = {rooms.joined(event.conversation_id)}
        if not isinstance(event, MessageStored):
            missed_in.add(rooms.conversation(event.conversation_id))
        for permitted in self._permitted([session], event):
            for outbound in self._outbound(permitted, event):
                if outbound.room(event) in missed_in:
                    self._write_event(permitted, outbound, event)
        if offset is not None:
            self._write(session, [OFFSET, offset])

    def _permitted(self, sessions: Sequence[Session], event: Numbered) -> list[Session]:
        """Return the sessions of users who may read a message."""
        hidden_from = self._membership_cache.hidden_from(event.conversation_id, event.message.seq)
        return [session for session in sessions if session.user_id not in hidden_from]

    def _outbound(self, session: Session, event: Any) -> Iterator[OutboundEvent]:
        for protocol in self._session_rooms.protocols(session):
            yield from protocol.outbound_by_trigger.get(type(event), ())

    def _write_event(self, session: Session, outbound: OutboundEvent, event: Any) -> None:
        excepted = outbound.except_room is not None and self._session_rooms.is_in(
            session, outbound.except_room(event)
        )
        if outbound.when(event) and not excepted:
            self._write(session, [outbound.event, outbound.payload(event)])

    def _write(self, session: Session, data: list[Any]) -> None:
        self._manager.deliver(session.namespace, session.sid, data)

    def _write_to_room(
        self, protocol: ClientProtocol, outbound: OutboundEvent, event: Any, position: Position | None
    ) -> None:
        namespace, room = protocol.namespace, outbound.room(event)
        target = protocol_room(room, protocol)
        if self._manager.is_empty(namespace, target):
            return
        skip: set[str] = set()
        for excepted in [*_excepted_rooms(outbound, event), *self._rooms_hidden_from(event)]:
            skip.update(self._manager.sockets_in(namespace, protocol_room(excepted, protocol)))
        data = [outbound.event, outbound.payload(event)]
        self._manager.deliver(namespace, target, data, skip, _offset_event(room, event, position))

    def _rooms_hidden_from(self, event: Any) -> list[str]:
        """Return the rooms of the users who may not read the message of an event."""
        if not isinstance(event, Numbered):
            return []
        hidden_from = self._membership_cache.hidden_from(event.conversation_id, event.message.seq)
        return list(map(rooms.user, hidden_from))


def _offset_event(room: str, event: Any, position: Position | None) -> list[str] | None:
    """Return the event that carries a message's offset to the sockets that joined its conversation.

    It is an event of its own, without listeners: not all client libraries accept a second argument
    beside a payload.
    """
    if position is None or not isinstance(event, MessageStored) or rooms.joined_id(room) is None:
        return None
    return [OFFSET, offset_of(event.conversation_id, position)]


def _excepted_rooms(outbound: OutboundEvent, event: Any) -> list[str]:
    user = [rooms.user(outbound.except_user(event))] if outbound.except_user else []
    return user + ([outbound.except_room(event)] if outbound.except_room else [])
