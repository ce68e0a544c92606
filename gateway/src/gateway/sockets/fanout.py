"""The fan-out: what comes off the bus goes through the roster and the streams, into words, to rooms."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import structlog

from gateway.core.recent import Recent
from gateway.core.roster import Roster
from gateway.core.stream import Streams
from gateway.core.typing_board import TypingBoard
from gateway.sockets.redis_manager import RedisManager
from gateway.sockets.sessions import Session, within
from gateway.vocabularies.vocabulary import Arrived, Saying, UnreadChanged, Vocabulary
from shared import events as e
from shared import rooms
from shared.metrics import bus_failures
from shared.model import Message

log = structlog.get_logger()

REMEMBERED_RECORDS = 20_000


class FanOut:
    """Tells the sockets of this node what has happened."""

    def __init__(
        self,
        *,
        manager: RedisManager,
        vocabularies: Sequence[Vocabulary],
        roster: Roster,
        board: TypingBoard,
        passed_on: Callable[[Message], None],
    ) -> None:
        self._manager = manager
        self._vocabularies = vocabularies
        self._roster = roster
        self._board = board
        self._passed_on = passed_on
        self._told: Recent[str, None] = Recent(REMEMBERED_RECORDS)
        self._awaited: dict[str, asyncio.Future[None]] = {}
        self.streams: Streams
        self.on_heartbeat: Callable[[], None] = lambda: None
        self.on_created: Callable[[str, e.ConversationCreated], None]
        self.on_removed: Callable[[e.MemberRemoved], None]
        self.on_control: Callable[[e.Control], None]
        self._takes: dict[type, Callable[[str, Any], None]] = {
            e.MessageStored: self._numbered,
            e.MessageEdited: self._numbered,
            e.MessageDeleted: self._numbered,
            e.MessageRepeated: self._once,
            e.RecordRefused: self._once,
            e.ConversationRead: self._read,
            e.ConversationDelivered: self._delivered,
            e.ConversationCreated: lambda room, event: self.on_created(rooms.user_id(room), event),
            e.MembersAdded: lambda _, event: self.say(event),
            e.MemberRemoved: self._removed,
            e.TypingChanged: self._typing,
            e.PresenceChanged: lambda _, event: self.say(event),
            e.Heartbeat: lambda _room, _event: self.on_heartbeat(),
            e.Emit: lambda _, event: self._manager.hear(event),
            e.Control: lambda _, event: self.on_control(event),
        }

    def receive(self, channel: str, body: bytes) -> None:
        """Take what was published on a channel; what cannot be read is counted and dropped."""
        try:
            told = e.unpack(body)
        except msgspec.DecodeError as error:
            bus_failures.labels("decode").inc()
            log.warning("dropped something from the bus", channel=channel, error=str(error))
            return
        room = rooms.of_channel(channel)
        for event in told:
            self._note(event)
            self._takes[type(event)](room, event)

    def pass_on(self, event: e.Numbered) -> None:
        """The streams' next event: new to this node, and in order."""
        if isinstance(event, e.MessageStored):
            self._roster.stored(event.message)
            self._passed_on(event.message)
            self._told.put(event.record_id, None)
        self.say(event)

    def say(self, event: Any) -> None:
        """Put an event into each vocabulary's words, and write them to the sockets concerned."""
        for vocabulary in self._vocabularies:
            words = vocabulary.says.get(type(event))
            if words is not None:
                for saying in words(event):
                    self._deliver(vocabulary, saying)

    def make_up(self, event: e.ConversationRead | e.ConversationDelivered) -> None:
        """Tell of a mark that was found to have been missed."""
        if isinstance(event, e.ConversationRead):
            self._roster.read(event)
        else:
            self._roster.received(event)
        self.say(event)

    def greet(self, session: Session) -> None:
        """Say to a new socket what its vocabulary greets with."""
        arrived = Arrived(session.person, session.sid, session.online)
        for event, payload in session.vocabulary.greets(arrived):
            self.tell(session, event, payload)

    def tell(self, session: Session, event: str, payload: Any) -> None:
        """Say something to one socket."""
        self._manager.deliver(session.vocabulary.namespace, session.sid, [event, payload])

    def say_counts(self) -> None:
        """Tell users of the unread counts that have changed since the last time."""
        for changed in self._roster.changed_counts():
            self.say(UnreadChanged(*changed))

    def say_lapsed(self) -> None:
        """Tell of those whose typing was not renewed."""
        for event in self._board.lapsed():
            self.say(event)

    @contextmanager
    def awaiting(self, record_id: str) -> "Iterator[asyncio.Future[None]]":
        """A future that is done when an event of this record comes."""
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited[record_id] = heard
        try:
            yield heard
        finally:
            del self._awaited[record_id]

    def _note(self, event: e.Event) -> None:
        if self._awaited:
            waiter = self._awaited.get(_record_id(event))
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def _deliver(self, vocabulary: Vocabulary, saying: Saying) -> None:
        skip: list[str] = []
        for room in self._excepted(saying):
            skip += self._manager.sockets_in(vocabulary.namespace, within(room, vocabulary))
        self._manager.deliver(
            vocabulary.namespace, within(saying.room, vocabulary), [saying.event, saying.payload], skip
        )

    def _excepted(self, saying: Saying) -> list[str]:
        user = [rooms.user(saying.except_user)] if saying.except_user else []
        return user + ([saying.except_room] if saying.except_room else [])

    def _numbered(self, _room: str, event: e.Numbered) -> None:
        self.streams.receive(event)

    def _once(self, _room: str, event: Any) -> None:
        if event.record_id not in self._told:
            self._told.put(event.record_id, None)
            self.say(event)

    def _read(self, room: str, event: e.ConversationRead) -> None:
        self._roster.read(event)
        self._once(room, event)

    def _delivered(self, room: str, event: e.ConversationDelivered) -> None:
        self._roster.received(event)
        self._once(room, event)

    def _removed(self, _room: str, event: e.MemberRemoved) -> None:
        self.say(event)
        if event.heir is not None:
            self._roster.promote(event.conversation_id, event.heir)
        self.on_removed(event)

    def _typing(self, _room: str, event: e.TypingChanged) -> None:
        if self._board.heard(event):
            self.say(event)


def _record_id(event: e.Event) -> str:
    if isinstance(event, e.MessageEdited | e.MessageDeleted):
        return event.message.change_id or ""
    return getattr(event, "record_id", "")
