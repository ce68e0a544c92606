"""The broadcaster: writes events to the sockets of this node, each in the payload of its protocol."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from parley.gateway import gauges
from parley.gateway.core.positions import Position, offset_of
from parley.gateway.core.results import Introduction
from parley.gateway.live.session_rooms import SessionRooms, protocol_room
from parley.gateway.live.sessions import Session
from parley.gateway.protocols.protocol import (
    ClientProtocol,
    DirectEvent,
    OutboundEvent,
    always,
    joined_room,
)
from parley.gateway.protocols.serializer import maker
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.transport.packets import EncodedEvents, event_message, event_start
from parley.shared import rooms
from parley.shared.events import MessageStored, Numbered

NUMBERED = frozenset(get_args(Numbered))
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
        self._targets: Targets = _targets(protocols)
        self._session_rooms = session_rooms
        self._membership_cache = membership_cache

    def broadcast(self, event: Any, position: Position | None = None) -> None:
        """Write an event to the rooms that each protocol names for it.

        Args:
            event: a shared event, or one of this node's own.
            position: of a numbered event, the position that its receivers have reached with it.
        """
        kind, rooms_of = type(event), self._manager.rooms
        hidden_from = self._hidden_from(event) if kind in NUMBERED else ()
        offset = None if position is None else offset_of(event.conversation_id, position)
        room_of: Any = None
        for target in self._targets.get(kind, ()):
            of_namespace = rooms_of.get(target.namespace)
            if of_namespace is None or (target.when is not None and not target.when(event)):
                continue
            if target.room is not room_of:
                room_of = target.room
                room = room_of(event)
            sockets = of_namespace.get(room + target.suffix)
            if sockets:
                skip = self._skipped(target, event, hidden_from)
                encoded = target.encode(event, offset)
                self._manager.write(sockets, encoded, skip)
                _count(target.outbound.event, encoded, len(sockets))

    def broadcast_to_users(self, event: Any, user_ids: Collection[str]) -> None:
        """Write an event to all sockets of these users, whatever room its protocols name for it."""
        for target in self._targets.get(type(event), ()):
            if target.when is not None and not target.when(event):
                continue
            sockets: dict[str, str] = {}
            for user_id in user_ids:
                sockets |= self._manager.members(target.namespace, rooms.user(user_id) + target.suffix)
            if sockets:
                encoded = target.encode(event, None)
                self._manager.write(sockets, encoded)
                _count(target.outbound.event, encoded, len(sockets))

    def emit_to(self, session: Session, direct: DirectEvent, value: Any) -> None:
        """Write an event of one socket's own."""
        for each in direct.split(value):
            self._write(session, direct.event, direct.payload(each))

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
            self._write(session, OFFSET, offset)

    def _permitted(self, sessions: Sequence[Session], event: Numbered) -> list[Session]:
        """Return the sessions of users who may read a message."""
        hidden_from = self._hidden_from(event)
        return [session for session in sessions if session.user_id not in hidden_from]

    def _hidden_from(self, event: Numbered) -> Collection[str]:
        return self._membership_cache.hidden_from(event.conversation_id, event.message.seq)

    def _outbound(self, session: Session, event: Any) -> Iterator[OutboundEvent]:
        for protocol in self._session_rooms.protocols(session):
            yield from protocol.outbound_by_trigger.get(type(event), ())

    def _write_event(self, session: Session, outbound: OutboundEvent, event: Any) -> None:
        excepted = outbound.except_room is not None and self._session_rooms.is_in(
            session, outbound.except_room(event)
        )
        if outbound.when(event) and not excepted:
            self._write(session, outbound.event, outbound.payload(event))

    def _write(self, session: Session, event: str, payload: Any) -> None:
        message = event_message(event_start(session.namespace, event), payload)
        socket = self._manager.members(session.namespace, session.sid)
        encoded = EncodedEvents(message)
        self._manager.write(socket, encoded)
        _count(event, encoded, len(socket))

    def _skipped(self, target: "_Target", event: Any, hidden_from: Collection[str]) -> Collection[str]:
        """Return the sockets that an event is kept from: those of excepted users and rooms."""
        if not target.has_exceptions and not hidden_from:
            return ()
        skip: set[str] = set()
        for room in (*target.excepted_rooms(event), *map(rooms.user, hidden_from)):
            skip.update(self._manager.members(target.namespace, room + target.suffix))
        return skip


def _count(name: str, encoded: EncodedEvents, sockets: int) -> None:
    gauges.deliveries.of[name] += sockets
    gauges.delivered_bytes.of[name] += sockets * len(encoded.frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """An outbound event of one protocol, with all that does not depend on its trigger.

    Attributes:
        room: Gives the room of a trigger.
        suffix: The part of a room's name that leads to the sockets of this protocol.
        when: Tells whether a trigger causes the event; None if each does.
        start: The event's message up to its payload.
        offset_start: The same of the event that carries an offset: to sockets that joined the conversation.
    """

    namespace: str
    outbound: OutboundEvent
    room: Callable[[Any], str]
    suffix: str
    when: Callable[[Any], bool] | None
    payload: Callable[[Any], Any]
    start: bytes
    offset_start: bytes | None
    has_exceptions: bool

    def encode(self, event: Any, offset: str | None) -> EncodedEvents:
        """Encode the event, and an offset to sockets that get one.

        That is an event of its own, without listeners: not all client libraries accept a second argument
        beside a payload.
        """
        message = event_message(self.start, self.payload(event))
        if offset is None or self.offset_start is None:
            return EncodedEvents(message)
        return EncodedEvents(message, event_message(self.offset_start, offset))

    def excepted_rooms(self, event: Any) -> list[str]:
        """Return the rooms whose sockets the event is kept from."""
        user, room = self.outbound.except_user, self.outbound.except_room
        return [*([rooms.user(user(event))] if user else ()), *([room(event)] if room else ())]


Targets = Mapping[type, Sequence[_Target]]
"""The outbound events by trigger; those of one namespace follow each other, in the order of the tables."""


def _targets(protocols: Sequence[ClientProtocol]) -> Targets:
    namespaces = list(dict.fromkeys(protocol.namespace for protocol in protocols))
    found: dict[type, list[_Target]] = {}
    for protocol in sorted(protocols, key=lambda each: namespaces.index(each.namespace)):
        for outbound in protocol.outbound:
            found.setdefault(outbound.trigger, []).append(_target(protocol, outbound))
    return found


def _target(protocol: ClientProtocol, outbound: OutboundEvent) -> _Target:
    namespace = protocol.namespace
    has_offset = outbound.trigger is MessageStored and outbound.room is joined_room
    return _Target(
        namespace=namespace,
        outbound=outbound,
        room=outbound.room,
        suffix=protocol_room("", protocol),
        when=None if outbound.when is always else outbound.when,
        payload=maker(outbound.payload),
        start=event_start(namespace, outbound.event),
        offset_start=event_start(namespace, OFFSET) if has_offset else None,
        has_exceptions=outbound.except_user is not None or outbound.except_room is not None,
    )
