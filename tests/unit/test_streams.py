"""The live stream of a conversation: every message once, in order, whatever the bus loses."""

import asyncio
import random
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client import REGISTRY

from clients.chat import eventually
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.positions import Position, head_of
from parley.gateway.live.streams import Streams
from parley.gateway.services.epochs import Epochs
from parley.shared.events import MessageDeleted, MessageEdited, MessageStored, Numbered
from parley.shared.model import Conversation, Epoch, Message, Person, now

C = "conversation"


def backfilled() -> float:
    return REGISTRY.get_sample_value("parley_backfilled_messages_total") or 0.0


class Stored:
    """The stored messages of one conversation, and their events."""

    def __init__(self) -> None:
        self.messages: dict[int, Message] = {}
        self.rev, self.epoch = 0, 1
        self.epochs: tuple[Epoch, ...] = ()
        self.away = False

    def _next_rev(self) -> int:
        self.epochs = tuple(e for e in self.epochs if e.since <= self.rev)
        self.rev += 1
        if not self.epochs or self.epochs[-1].id != self.epoch:
            self.epochs += (Epoch(self.epoch, self.rev),)
        return self.rev

    def new(self) -> Numbered:
        rev = self._next_rev()
        seq = len(self.messages) + 1
        message = Message(
            id=f"m{seq}",
            conversation_id=C,
            sender_id="ann",
            content=str(seq),
            seq=seq,
            rev=rev,
            epoch=self.epoch,
            created_at=now(),
        )
        self.messages[seq] = message
        return MessageStored(record_id=f"r{seq}", message=message, sender=Person(id="ann"))

    def edit(self, seq: int) -> Numbered:
        rev = self._next_rev()
        message = replace(self.messages[seq], rev=rev, epoch=self.epoch, content="edited", edited_at=now())
        self.messages[seq] = message
        return MessageEdited(message=message, sender=Person(id="ann"))

    def delete(self, seq: int) -> Numbered:
        rev = self._next_rev()
        message = replace(self.messages[seq], rev=rev, epoch=self.epoch, content="", deleted_at=now())
        self.messages[seq] = message
        return MessageDeleted(message=message, sender=Person(id="ann"))

    def head(self) -> Conversation:
        return Conversation(
            id=C,
            kind="group",
            created_by="ann",
            created_at=now(),
            last_seq=len(self.messages),
            rev=self.rev,
            epochs=self.epochs,
        )

    # The archive's port.

    async def get(self, message_id: str) -> Message | None:
        return next((m for m in self.messages.values() if m.id == message_id), None)

    async def page(
        self, conversation_id: str, limit: int, before: int | None, after: int | None
    ) -> list[Message]:
        await self.answer()
        assert after is not None
        return [m for _, m in sorted(self.messages.items()) if m.seq > after][:limit]

    async def changes(self, conversation_id: str, rev: int, limit: int) -> list[Message]:
        await self.answer()
        return sorted((m for m in self.messages.values() if m.rev > rev), key=lambda m: m.rev)[:limit]

    async def answer(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("away")


class StoredConversation:
    """`Conversations`, as far as epochs are compared; as available as the stored messages are."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    async def get(self, conversation_ids: Collection[str]) -> dict[str, Conversation]:
        await self._stored.answer()
        return {each: self._stored.head() for each in conversation_ids}

    async def latest(self, conversation_id: str) -> Conversation | None:
        await self._stored.answer()
        return self._stored.head()


def epochs_of(stored: Stored) -> Epochs:
    conversations: Any = StoredConversation(stored)
    return Epochs(conversations, stored)


class Profiles:
    """`People`, as available as the stored messages are."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    async def save(self, person: Person) -> None:
        raise NotImplementedError

    async def get(self, user_ids: Collection[str]) -> dict[str, Person]:
        await self._stored.answer()
        return {user_id: Person(id=user_id) for user_id in user_ids}


class Client:
    """The screen of a client that ignores numbers, and the changes that a later sync would not repair."""

    def __init__(self, stored: Stored) -> None:
        self.order: list[int] = []
        self.contents: dict[int, str] = {}
        self.lost: list[Message] = []
        """Messages missing on the screen though the highest received revision covers them."""
        self._stored = stored
        self._rev = 0

    def deliver(self, event: Numbered, position: Position) -> None:
        if isinstance(event, MessageStored):
            self.order.append(event.message.seq)
        assert event.message.seq in self.order
        self.contents[event.message.seq] = event.message.content
        self._rev = max(self._rev, event.message.rev)
        covered = [m for m in self._stored.messages.values() if m.rev <= self._rev]
        self.lost += [m for m in covered if self.contents.get(m.seq) != m.content]


def started(stored: Stored, client: Any) -> Streams:
    streams = Streams(stored, Profiles(stored), client, epochs_of(stored))
    assert streams.open([C]) == [C]
    streams.start({C: head_of(stored.head())})
    return streams


@pytest.fixture
def stored() -> Stored:
    return Stored()


@pytest.fixture
def client(stored: Stored) -> Client:
    return Client(stored)


async def test_the_next_is_passed_on_and_a_repeated_one_is_not(stored: Stored, client: Client) -> None:
    streams = started(stored, client)
    first, second = stored.new(), stored.new()
    for event in (first, first, second, first, second):
        streams.receive(event)
    assert client.order == [1, 2]


async def test_events_lost_by_the_bus_are_backfilled_in_order(stored: Stored, client: Client) -> None:
    streams = started(stored, client)
    before = backfilled()
    events = [stored.new() for _ in range(5)]
    streams.receive(events[0])
    streams.receive(events[4])
    await eventually(lambda: client.order == [1, 2, 3, 4, 5])
    assert backfilled() - before == 4


async def test_a_loss_that_no_event_reveals_is_found_by_comparing_heads(
    stored: Stored, client: Client
) -> None:
    streams = started(stored, client)
    stored.new()
    stored.new()
    assert streams.backfill_behind({C: stored.head().rev}, {C: streams.head(C)}) == 1
    await eventually(lambda: client.order == [1, 2])
    assert streams.backfill_behind({C: stored.head().rev}, {C: streams.head(C)}) == 0


async def test_an_event_that_precedes_the_known_start_is_not_lost(stored: Stored, client: Client) -> None:
    stored.new()
    streams = Streams(stored, Profiles(stored), client, epochs_of(stored))
    streams.open([C])
    head = stored.head()
    streams.receive(stored.new())
    streams.start({C: head_of(head)})
    assert client.order == [2]


async def test_healing_waits_for_a_database_that_is_away(stored: Stored, client: Client) -> None:
    streams = started(stored, client)
    stored.away = True
    stored.new()
    streams.receive(stored.new())
    await asyncio.sleep(0)
    assert client.order == []
    stored.away = False
    await eventually(lambda: client.order == [1, 2])


async def test_a_lost_deletion_of_a_delivered_message_is_backfilled(stored: Stored, client: Client) -> None:
    streams = started(stored, client)
    streams.receive(stored.new())
    stored.delete(1)
    streams.receive(stored.new())
    await eventually(lambda: client.order == [1, 2])
    await eventually(lambda: client.contents[1] == "")


async def test_a_client_cut_off_during_a_backfill_misses_nothing_after_a_sync(
    stored: Stored, client: Client
) -> None:
    """A client syncs from the highest revision that it received, so no lower one may follow."""
    streams = started(stored, client)
    streams.receive(stored.new())
    for step in (stored.new, stored.new, lambda: stored.edit(1), stored.new, lambda: stored.edit(2)):
        step()
    streams.receive(stored.new())
    await eventually(lambda: client.order == [1, 2, 3, 4, 5])
    await eventually(lambda: client.contents == {1: "edited", 2: "edited", 3: "3", 4: "4", 5: "5"})
    assert client.lost == []


async def test_a_repeated_message_reveals_a_lost_edit(stored: Stored, client: Client) -> None:
    """A worker died between an edit and its announcement; a retry of the message comes before it."""
    streams = started(stored, client)
    streams.receive(stored.new())
    edited = stored.edit(1)
    streams.receive(MessageStored(record_id="r1", message=edited.message, sender=edited.sender))
    streams.receive(edited)
    assert client.order == [1]
    assert client.contents == {1: "edited"}


STEPS = st.lists(
    st.tuples(st.sampled_from(["new", "new", "edit", "delete"]), st.integers(0, 99)), max_size=40
)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.integers(0, 2**32))
def test_a_client_ends_up_right_after_any_losses_repeats_and_delays(
    steps: list[tuple[str, int]], seed: int
) -> None:
    """Each message is delivered once, in the order of the numbers, and shows the stored content."""

    async def run() -> None:
        chance = random.Random(seed)
        stored = Stored()
        client = Client(stored)
        streams = started(stored, client)
        for kind, number in steps:
            if kind == "new" or not stored.messages:
                event = stored.new()
            else:
                seq = number % len(stored.messages) + 1
                event = stored.edit(seq) if kind == "edit" else stored.delete(seq)
            for _ in range(chance.choice([0, 1, 1, 1, 2])):
                streams.receive(event)
            if chance.random() < 0.3:
                await asyncio.sleep(0)
        for _ in range(5):
            await _quiet()
            streams.backfill_behind({C: stored.head().rev}, {C: streams.head(C)})
        await _quiet()
        assert client.order == sorted(stored.messages)
        assert client.contents == {m.seq: m.content for m in stored.messages.values()}
        assert client.lost == []
        await streams.stop()

    asyncio.run(run())


async def _quiet() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


def restored_to(stored: Stored, rev: int, epoch: int) -> None:
    """Restore the conversation to an earlier revision; the next changes have another epoch."""
    stored.messages = {seq: m for seq, m in stored.messages.items() if m.rev <= rev}
    stored.rev, stored.epoch = rev, epoch


async def test_a_stream_ahead_of_a_restored_history_is_reset(stored: Stored, client: Client) -> None:
    streams = started(stored, client)
    for _ in range(4):
        streams.receive(stored.new())
    restored_to(stored, 2, epoch=2)

    streams.receive(stored.new())
    await eventually(lambda: streams.replaced == {C})

    assert streams.open([C]) == [C]
    streams.start({C: head_of(stored.head())})
    streams.receive(stored.new())
    assert client.order == [1, 2, 3, 4, 4]


async def test_a_stream_is_reset_when_other_messages_have_its_revisions(
    stored: Stored, client: Client
) -> None:
    streams = started(stored, client)
    for _ in range(4):
        streams.receive(stored.new())
    restored_to(stored, 2, epoch=2)
    missed = [stored.new() for _ in range(2)]

    streams.receive(stored.new())
    await eventually(lambda: streams.replaced == {C})

    assert [event.message.seq for event in missed] == [3, 4]
    assert client.order == [1, 2, 3, 4]


async def test_an_audit_finds_a_restored_history(stored: Stored, client: Client) -> None:
    streams = started(stored, client)
    streams.receive(stored.new())
    before = {C: streams.head(C)}
    restored_to(stored, 0, epoch=2)

    streams.backfill_behind({C: stored.head().rev}, before)

    await eventually(lambda: streams.replaced == {C})


async def test_another_worker_s_epoch_is_the_same_history(stored: Stored, client: Client) -> None:
    streams = started(stored, client)
    first = stored.new()
    streams.receive(first)
    stored.epoch = 2
    streams.receive(stored.new())
    await eventually(lambda: client.order == [1, 2])

    streams.receive(first)
    streams.receive(stored.new())

    assert client.order == [1, 2, 3]
    assert streams.replaced == set()
