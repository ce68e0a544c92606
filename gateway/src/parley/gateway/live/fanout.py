"""The fan-out: what comes off the bus goes through the roster and the streams, into words, to rooms."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import structlog

from parley.gateway.core.results import Introduction
from parley.gateway.core.session_snapshot import Position, offset_of
from parley.gateway.live.sessions import Session, within
from parley.gateway.protocols.protocol import ClientProtocol, DirectEvent, OutboundEvent, UnreadChanged
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.state.bounded_dict import BoundedDict
from parley.gateway.state.load_monitor import LoadMonitor
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.state.rates import Buckets, Rate
from parley.gateway.state.streams import Streams
from parley.gateway.state.typing_board import TypingBoard
from parley.shared import events as e
from parley.shared import rooms
from parley.shared.metrics import bus_failures, unknown_kinds
from parley.shared.model import Message

log = structlog.get_logger()

REMEMBERED_RECORDS = 20_000
COMPLAINTS = Rate(1, 10)
"""All that cannot be read is counted; of so much a log tells."""
OFFSET = "offset"
"""The event that tells a client how far it has heard."""
SETTLED = e.MessageStored | e.MessageRepeated | e.RecordRefused
"""What may be heard of a new message's record."""


class FanOut:
    """Tells the sockets of this node what has happened."""

    def __init__(
        self,
        *,
        manager: RedisManager,
        protocols: Sequence[ClientProtocol],
        membership_cache: MembershipCache,
        board: TypingBoard,
        passed_on: Callable[[Message], None],
        refused: Callable[[e.RecordRefused], None],
        load_monitor: LoadMonitor,
    ) -> None:
        self._manager = manager
        self._protocols = protocols
        self._membership_cache = membership_cache
        self._board = board
        self._passed_on = passed_on
        self._refused = refused
        self._load_monitor = load_monitor
        self._complaints = Buckets(COMPLAINTS)
        self._put_off: dict[str, e.PresenceChanged] = {}
        self._told: BoundedDict[str, None] = BoundedDict(REMEMBERED_RECORDS)
        self._passed: BoundedDict[str, None] = BoundedDict(REMEMBERED_RECORDS)
        self._clock = count()
        self._ticks: BoundedDict[str, int] = BoundedDict(REMEMBERED_RECORDS)
        self._awaited: dict[str, asyncio.Future[e.Event]] = {}
        self.streams: Streams
        self.on_heartbeat: Callable[[], None] = lambda: None
        self.on_settled: Callable[[str, str], None] = lambda conversation_id, record_id: None
        self.on_created: Callable[[str, e.ConversationCreated], None]
        self.on_added: Callable[[e.MembersAdded], None]
        self.on_removed: Callable[[e.MemberRemoved], None]
        self.stays: Callable[[e.RoomChanged], bool] = lambda _: False
        self.on_control: Callable[[e.Control], None]
        self.on_revoked: Callable[[e.TokensRevoked], None] = lambda _: None
        self.on_presence: Callable[[e.PresenceChanged], None] = lambda _: None
        self._takes: dict[type, Callable[[str, Any], None]] = {
            e.MessageStored: self._numbered,
            e.MessageEdited: self._numbered,
            e.MessageDeleted: self._numbered,
            e.MessageRepeated: self._once,
            e.RecordRefused: self._not_stored,
            e.ConversationRead: self._read,
            e.ConversationDelivered: self._delivered,
            e.ConversationCreated: lambda room, event: self.on_created(rooms.user_id(room), event),
            e.MembersAdded: self._added,
            e.MemberRemoved: self._removed,
            e.TypingChanged: self._typing,
            e.RoomChanged: self._room_changed,
            e.PresenceChanged: lambda _, event: self._presence(event),
            e.TokensRevoked: lambda _, event: self.on_revoked(event),
            e.Heartbeat: lambda _room, _event: self.on_heartbeat(),
            e.Emit: lambda _, event: self._manager.on_emit(event),
            e.Control: lambda _, event: self.on_control(event),
        }

    def receive(self, channel: str, body: bytes) -> None:
        """Handle what was published on a channel; an event that cannot be read is counted and skipped."""
        room = rooms.of_channel(channel)
        for event in e.unpack(body):
            if isinstance(event, e.UnknownEvent):
                unknown_kinds.labels("event").inc()
            elif isinstance(event, e.UnreadableEvent):
                self._count_unreadable(channel, event)
            else:
                self._note(event)
                self._takes[type(event)](room, event)

    def _count_unreadable(self, channel: str, event: e.UnreadableEvent) -> None:
        bus_failures.labels("decode").inc()
        if self._complaints.try_take(""):
            log.warning("gateway.bus.unreadable", channel=channel, error=event.reason)

    def pass_on(self, event: e.Numbered) -> None:
        """The streams' next event: new to this node, and in order."""
        if isinstance(event, e.MessageStored):
            self._membership_cache.apply_message(event.message)
            self._passed_on(event.message)
            self._told.put(event.record_id, None)
            self._passed.put(event.message.id, None)
            self._ticks.put(event.conversation_id, next(self._clock))
        self.say(event)

    def say(self, event: Any) -> None:
        """Put an event into each vocabulary's words, and write them to the sockets concerned."""
        for protocol in self._protocols:
            for outbound in protocol.outbound_by_trigger.get(type(event), ()):
                if outbound.when(event):
                    self._deliver(protocol, outbound, event)

    def make_up(self, event: e.ConversationRead | e.ConversationDelivered) -> None:
        """Tell of a mark that was found to have been missed."""
        if isinstance(event, e.ConversationRead):
            self._membership_cache.apply_read(event)
        else:
            self._membership_cache.apply_delivered(event)
        self.say(event)

    def greet(self, session: Session) -> None:
        """Say to a new socket what its vocabulary greets with."""
        introduction = Introduction(session.person, session.sid, session.online)
        for protocol in session.speaks:
            for direct in protocol.on_connect:
                self.tell(session, direct, introduction)

    def tell(self, session: Session, direct: DirectEvent, value: Any) -> None:
        """Say something to one socket."""
        for each in direct.split(value):
            self._write(session, [direct.event, direct.payload(each)])

    def tell_each(self, sessions: Sequence[Session], event: Any) -> None:
        """Tell sockets, and no others, of an event."""
        for session in sessions:
            for protocol in session.speaks:
                for outbound in protocol.outbound_by_trigger.get(type(event), ()):
                    self._tell_one(session, outbound, event)

    def tell_late(self, sessions: Sequence[Session], event: e.Numbered) -> None:
        """Tell sockets that are about to enter a conversation's room what it has heard before."""
        passed_on = event.message.id in self._passed
        for session in sessions:
            for protocol in session.speaks:
                for outbound in protocol.outbound_by_trigger.get(type(event), ()):
                    room = outbound.room(event)
                    # What a user's sockets hear wherever they are, they have heard already.
                    missed = room in session.places and not passed_on
                    if missed or room == rooms.conversation(event.conversation_id):
                        self._tell_one(session, outbound, event)

    def tell_missed(self, session: Session, event: e.Numbered, offset: str | None = None) -> None:
        """Tell a socket what the rooms of a conversation that it has joined heard while it was away.

        Of a message, only what is said to those who joined: others were never told where they are.
        """
        heard_in = {rooms.joined(event.conversation_id)}
        if not isinstance(event, e.MessageStored):
            heard_in.add(rooms.conversation(event.conversation_id))
        for protocol in session.speaks:
            for outbound in protocol.outbound_by_trigger.get(type(event), ()):
                if outbound.room(event) in heard_in:
                    self._tell_one(session, outbound, event)
        if offset is not None:
            self._write(session, [OFFSET, offset])

    def latest(self, conversation_ids: Collection[str]) -> str | None:
        """Of these conversations, the one whose message was passed on last; None if that is not known."""
        ticks = {each: self._ticks.get(each) for each in conversation_ids}
        known = [(tick, each) for each, tick in ticks.items() if tick is not None]
        return max(known)[1] if known else None

    def _tell_one(self, session: Session, outbound: OutboundEvent, event: Any) -> None:
        excepted = outbound.except_room is not None and outbound.except_room(event) in session.places
        if outbound.when(event) and not excepted:
            self._write(session, [outbound.event, outbound.payload(event)])

    def _write(self, session: Session, data: list[Any]) -> None:
        self._manager.deliver(session.namespace, session.sid, data)

    def say_counts(self) -> None:
        """Tell users of the unread counts that have changed since the last time."""
        for changed in self._membership_cache.take_changed_counts():
            self.say(UnreadChanged(*changed))

    def say_lapsed(self) -> None:
        """Tell of those whose typing was not renewed."""
        for event in self._board.take_expired():
            self.say(event)

    def say_put_off(self) -> None:
        """Tell how those stand of whom nothing was told while there was more important to do."""
        put_off, self._put_off = self._put_off, {}
        for event in put_off.values():
            self.say(event)

    @contextmanager
    def awaiting(self, record_id: str) -> "Iterator[asyncio.Future[e.Event]]":
        """A future that holds the event of this record when it comes."""
        heard: asyncio.Future[e.Event] = asyncio.get_running_loop().create_future()
        self._awaited[record_id] = heard
        try:
            yield heard
        finally:
            del self._awaited[record_id]

    def _note(self, event: e.Event) -> None:
        if isinstance(event, SETTLED):
            self.on_settled(event.conversation_id, event.record_id)
        if self._awaited:
            waiter = self._awaited.get(_record_id(event))
            if waiter is not None and not waiter.done():
                waiter.set_result(event)

    def _deliver(self, protocol: ClientProtocol, outbound: OutboundEvent, event: Any) -> None:
        namespace, room = protocol.namespace, within(outbound.room(event), protocol)
        if not self._manager.is_empty(namespace, room):
            skip: set[str] = set()
            for excepted in _excepted(outbound, event):
                skip.update(self._manager.sockets_in(namespace, within(excepted, protocol)))
            told = [outbound.event, outbound.payload(event)]
            self._manager.deliver(namespace, room, told, skip, self._offset(room, event))

    def _offset(self, room: str, event: Any) -> list[str] | None:
        """What a client whose library recovers brings back, to say that it has heard this message.

        An event of its own, for which nobody listens: not all libraries take a second argument lightly.
        """
        if not isinstance(event, e.MessageStored) or rooms.joined_id(room) is None:
            return None
        return [OFFSET, offset_of(event.conversation_id, Position(*self.streams.head(event.conversation_id)))]

    def _numbered(self, _room: str, event: e.Numbered) -> None:
        self.streams.receive(event)

    def _once(self, _room: str, event: Any) -> None:
        if event.record_id not in self._told:
            self._told.put(event.record_id, None)
            self.say(event)

    def _not_stored(self, room: str, event: e.RecordRefused) -> None:
        self._refused(event)
        self._once(room, event)

    def _read(self, room: str, event: e.ConversationRead) -> None:
        self._membership_cache.apply_read(event)
        self._once(room, event)

    def _delivered(self, room: str, event: e.ConversationDelivered) -> None:
        self._membership_cache.apply_delivered(event)
        self._once(room, event)

    def _added(self, _room: str, event: e.MembersAdded) -> None:
        self.say(event)
        self.on_added(event)

    def _removed(self, _room: str, event: e.MemberRemoved) -> None:
        self.say(event)
        if event.heir is not None:
            self._membership_cache.set_owner(event.conversation_id, event.heir)
        self.on_removed(event)

    def _room_changed(self, _room: str, event: e.RoomChanged) -> None:
        if event.joined or not self.stays(event):
            self.say(event)

    def _presence(self, event: e.PresenceChanged) -> None:
        self.on_presence(event)
        if self._load_monitor.is_overloaded:
            self._put_off[event.user_id] = event
        else:
            self.say(event)

    def _typing(self, _room: str, event: e.TypingChanged) -> None:
        shed = event.typing and self._load_monitor.is_overloaded
        if not shed and self._board.apply(event):
            self.say(event)


def _excepted(outbound: OutboundEvent, event: Any) -> list[str]:
    user = [rooms.user(outbound.except_user(event))] if outbound.except_user else []
    return user + ([outbound.except_room(event)] if outbound.except_room else [])


def _record_id(event: e.Event) -> str:
    if isinstance(event, e.MessageEdited | e.MessageDeleted):
        return event.message.change_id or ""
    return getattr(event, "record_id", "")
