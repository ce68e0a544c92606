"""A new member's sockets receive the earlier messages of the room as they are now, and no others."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.memory_archive import MemoryConversations, MemoryHistory, MemoryPeople
from fakes.memory_store import Tables
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.positions import Position
from parley.gateway.live.delivery_log import DeliveryLog
from parley.gateway.live.join_backfill import AT_ONCE, JoinBackfill
from parley.gateway.live.sessions import Session
from parley.gateway.live.streams import Streams
from parley.gateway.services.epochs import Epochs
from parley.gateway.services.receipts import RecentMessages
from parley.shared.events import MessageEdited, MessageStored, Numbered
from parley.shared.model import Membership, Message, Person, now

ANN, BEN, C = Person(id="ann"), Person(id="ben"), "conversation"


class InterruptedHistory(MemoryHistory):
    """Something happens between the reading of a page and its arrival."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self.meanwhile: Callable[[], None] = lambda: None

    async def page(
        self, conversation_id: str, limit: int, before: int | None, after: int | None
    ) -> list[Message]:
        found = await super().page(conversation_id, limit, before, after)
        self.meanwhile()
        return found


class Recorder:
    """Stands for the broadcaster, and for what streams deliver to."""

    def __init__(self) -> None:
        self.backfilled: list[Message] = []

    def backfill_to(self, sessions: Sequence[Session], event: Numbered, *, delivered: bool) -> None:
        self.backfilled += [event.message for _ in sessions]

    def deliver(self, event: Numbered, position: Any) -> None: ...


class Join:
    """A conversation of two messages, and a member's socket that is about to enter its room."""

    def __init__(self, messages: int) -> None:
        self.tables, self.recorder = Tables(), Recorder()
        self.history, self.people = InterruptedHistory(self.tables), MemoryPeople(self.tables)
        self.outside = [Session("n.1", "/chat", BEN.id)]
        recorder: Any = self.recorder
        epochs = Epochs(MemoryConversations(self.tables), self.history)
        self.streams = Streams(self.history, self.people, recorder, epochs)
        self.streams.open([C])
        self.streams.start({C: Position(0, 0)})
        self.backfill = JoinBackfill(
            self.streams, self.history, self.people, DeliveryLog(RecentMessages(100)), recorder
        )
        for number in range(1, messages + 1):
            self.store(number)

    def store(self, number: int) -> Message:
        message = Message(
            id=f"m{number}",
            conversation_id=C,
            sender_id=ANN.id,
            content="hi",
            seq=number,
            rev=self.streams.head(C).rev + 1,
            created_at=now(),
        )
        self.tables.messages[message.id] = message
        self.streams.receive(MessageStored(record_id=f"r{number}", message=message, sender=ANN))
        return message

    def edit(self, message_id: str) -> None:
        before = self.tables.messages[message_id]
        rev = self.streams.head(C).rev + 1
        edited = replace(before, content="edited", rev=rev, edited_at=now())
        self.tables.messages[message_id] = edited
        self.streams.receive(MessageEdited(message=edited, sender=ANN))

    async def run(self) -> list[tuple[int, str]]:
        """The number and content of each message that the socket receives, in order."""
        member = Membership(conversation_id=C, user_id=BEN.id, joined_at=now())
        await self.backfill.run(member, lambda: [*self.outside])
        return [(message.seq, message.content) for message in self.recorder.backfilled]


async def test_a_new_member_receives_what_was_stored_before_entering_the_room() -> None:
    assert await Join(2).run() == [(1, "hi"), (2, "hi")]


async def test_a_member_that_is_removed_during_the_backfill_receives_nothing() -> None:
    join = Join(2)
    join.history.meanwhile = join.outside.clear

    assert await join.run() == []


async def test_an_edit_between_the_reading_and_the_room_is_received() -> None:
    join = Join(1)

    def edit() -> None:
        join.edit("m1")
        join.history.meanwhile = lambda: None

    join.history.meanwhile = edit

    assert (await join.run())[-1] == (1, "edited")


async def test_a_socket_that_was_taken_out_receives_what_was_stored_and_changed_meanwhile() -> None:
    join = Join(2)
    join.backfill.left(join.outside[0], C)
    join.edit("m1")
    join.store(3)

    assert await join.run() == [(1, "edited"), (3, "hi")]


async def test_a_socket_that_was_taken_out_receives_what_is_stored_while_changes_are_read() -> None:
    join = Join(2)
    join.backfill.left(join.outside[0], C)
    join.edit("m1")

    def store() -> None:
        join.store(3)
        join.history.meanwhile = lambda: None

    join.history.meanwhile = store

    assert await join.run() == [(1, "edited"), (3, "hi")]


async def test_a_socket_that_missed_nothing_while_it_was_out_receives_nothing() -> None:
    join = Join(2)
    join.backfill.left(join.outside[0], C)

    assert await join.run() == []


async def test_a_backfill_that_failed_goes_on_where_it_stopped() -> None:
    join = Join(AT_ONCE + 1)
    pages = iter([None, Unavailable("MongoDB is away")])

    def fail() -> None:
        error = next(pages, None)
        if error is not None:
            raise error

    join.history.meanwhile = fail
    with pytest.raises(Unavailable):
        await join.run()

    assert [number for number, _ in await join.run()] == list(range(1, AT_ONCE + 2))
