"""The batch algorithm, crashed at every step and repeated in batches of every size."""

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.memory_store import MemoryHeads, MemoryMemberships, MemoryMessages, MemoryWholeBatches, Tables
from parley.persistence_worker.persist import Persister
from parley.persistence_worker.ports import StoreUnavailable
from parley.shared.events import (
    ConversationRead,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageRepeated,
    MessageStored,
    RecordRefused,
)
from parley.shared.model import (
    REMEMBERED_CHANGES,
    Attachment,
    Conversation,
    Membership,
    Message,
    Person,
    message_id,
    now,
)
from parley.shared.records import Deletion, DeliveredMark, Edit, NewMessage, ReadMark, Record

C = "conversation"
USERS = ("ann", "bob", "cem")


class Crash(Exception):
    """The worker was killed here."""


class Crashing:
    """Lets `calls` calls through, then crashes, before or after the effect."""

    def __init__(self, target: Any, fuse: "Fuse") -> None:
        self._target, self._fuse = target, fuse

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        async def call(*args: Any) -> Any:
            self._fuse.burn(after=False)
            result = await method(*args)
            self._fuse.burn(after=True)
            return result

        return call


class Fuse:
    def __init__(self, calls: int) -> None:
        self.left = calls

    def burn(self, *, after: bool) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash


class PublishedEvents:
    """Records the published events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        for published in events_by_room.values():
            self.events += published

    def all(self, kind: type) -> list[Any]:
        return [e for e in self.events if isinstance(e, kind)]


class Simulation:
    """One conversation of three, and workers on it."""

    def __init__(self) -> None:
        at = now()
        self.tables = Tables()
        self.published = PublishedEvents()
        self.tables.conversations[C] = Conversation(id=C, kind="group", created_by="ann", created_at=at)
        for user in USERS:
            self.tables.memberships[C, user] = Membership(conversation_id=C, user_id=user, joined_at=at)

    def worker(self, fuse: Fuse | None = None) -> Persister:
        parts = (
            MemoryMessages(self.tables),
            MemoryHeads(self.tables),
            MemoryMemberships(self.tables),
            self.published,
            MemoryWholeBatches(self.tables),
        )
        wrapped: Any = [Crashing(p, fuse) for p in parts] if fuse else parts
        return Persister(*wrapped)

    def check(self) -> None:
        """Check the invariants that hold while no worker runs."""
        stored = self.tables.of_conversation(C)
        conversation = self.tables.conversations[C]
        assert [m.seq for m in stored] == list(range(1, len(stored) + 1))
        assert conversation.last_seq == len(stored)
        assert conversation.rev == max((m.rev for m in stored), default=0)
        for user in USERS:
            m = self.tables.memberships[C, user]
            recount = sum(s.seq > m.base and s.sender_id != user for s in stored)
            assert m.unread(conversation.last_seq, 0) == recount, user


def new(sender: str, content: str = "hello", name: str | None = None) -> NewMessage:
    message = Message(
        id=message_id(sender, C, name),
        conversation_id=C,
        sender_id=sender,
        content=content,
        client_message_id=name,
        created_at=now(),
    )
    return NewMessage(id=str(uuid.uuid4()), message=message, sender=Person(id=sender))


def read(user: str, seq: int) -> ReadMark:
    return ReadMark(id=str(uuid.uuid4()), conversation_id=C, user_id=user, seq=seq, message_id=None, at=now())


def edit(record: NewMessage, content: str) -> Edit:
    return Edit(
        id=str(uuid.uuid4()),
        conversation_id=C,
        message_id=record.message.id,
        user=record.sender,
        content=content,
        at=now(),
    )


def delete(record: NewMessage) -> Deletion:
    return Deletion(
        id=str(uuid.uuid4()),
        conversation_id=C,
        message_id=record.message.id,
        user_id=record.sender.id,
        at=now(),
    )


async def test_messages_are_numbered_in_order_and_announced() -> None:
    simulation = Simulation()
    records = [new(user) for user in ("ann", "bob", "ann")]

    await simulation.worker().persist(records)

    assert [e.message.seq for e in simulation.published.all(MessageStored)] == [1, 2, 3]
    assert [m.id for m in simulation.tables.of_conversation(C)] == [r.message.id for r in records]
    simulation.check()


async def test_a_send_that_comes_again_is_the_same_message() -> None:
    simulation = Simulation()
    name = str(uuid.uuid4())
    await simulation.worker().persist([new("ann", name=name), new("bob")])

    await simulation.worker().persist([new("ann", name=name)])

    (repeated,) = simulation.published.all(MessageRepeated)
    assert repeated.message.seq == 1
    assert len(simulation.published.all(MessageStored)) == 2
    simulation.check()


async def test_twice_in_one_batch_is_once() -> None:
    simulation = Simulation()
    name = str(uuid.uuid4())
    await simulation.worker().persist([new("ann", name=name), new("ann", name=name), new("bob")])
    assert [m.seq for m in simulation.tables.of_conversation(C)] == [1, 2]
    simulation.check()


async def test_other_content_under_the_same_name_is_refused_and_the_first_stands() -> None:
    simulation = Simulation()
    name = str(uuid.uuid4())
    await simulation.worker().persist([new("ann", "first", name)])

    await simulation.worker().persist([new("ann", "second", name)])

    (refused,) = simulation.published.all(RecordRefused)
    assert (refused.code, refused.failed) == ("CONFLICT", False)
    assert [m.content for m in simulation.tables.of_conversation(C)] == ["first"]


async def test_a_record_of_a_former_member_is_refused() -> None:
    simulation = Simulation()
    simulation.tables.memberships[C, "bob"] = replace(simulation.tables.memberships[C, "bob"], left_at=now())

    await simulation.worker().persist([new("ann"), new("bob"), new("eve"), new("ann")])

    assert [r.user_id for r in simulation.published.all(RecordRefused)] == ["bob", "eve"]
    assert [m.sender_id for m in simulation.tables.of_conversation(C)] == ["ann", "ann"]


async def test_a_former_member_changes_nothing() -> None:
    simulation = Simulation()
    first, second = new("bob", "first"), new("bob", "second")
    await simulation.worker().persist([first, second])
    simulation.tables.memberships[C, "bob"] = replace(simulation.tables.memberships[C, "bob"], left_at=now())
    changes = [edit(first, "I was never here"), delete(second)]

    await simulation.worker().persist(changes)

    refused = [(r.record_id, r.code, r.failed) for r in simulation.published.all(RecordRefused)]
    assert refused == [(change.id, "NOT_FOUND", False) for change in changes]
    assert [m.content for m in simulation.tables.of_conversation(C)] == ["first", "second"]
    simulation.check()


async def test_only_the_changes_of_members_are_made() -> None:
    simulation = Simulation()
    first = new("bob", "first")
    await simulation.worker().persist([first])
    for user, fields in (("ann", {"role": "owner"}), ("bob", {"left_at": now()})):
        simulation.tables.memberships[C, user] = replace(simulation.tables.memberships[C, user], **fields)
    removal = replace(delete(first), user_id="ann")

    await simulation.worker().persist([edit(first, "late"), removal])

    assert [r.user_id for r in simulation.published.all(RecordRefused)] == ["bob"]
    assert len(simulation.published.all(MessageDeleted)) == 1
    simulation.check()


async def test_a_former_admin_deletes_only_own_messages() -> None:
    simulation = Simulation()
    theirs, own = new("ann", "theirs"), new("bob", "own")
    await simulation.worker().persist([theirs, own])

    await simulation.worker().persist([replace(delete(theirs), user_id="bob"), delete(own)])

    assert [r.message_id for r in simulation.published.all(RecordRefused)] == [theirs.message.id]
    assert [m.content for m in simulation.tables.of_conversation(C)] == ["theirs", ""]
    simulation.check()


async def test_a_repeated_change_is_announced_again_though_its_author_has_left() -> None:
    simulation = Simulation()
    first = new("bob", "first")
    change = edit(first, "better")
    await simulation.worker().persist([first, change])
    simulation.tables.memberships[C, "bob"] = replace(simulation.tables.memberships[C, "bob"], left_at=now())

    await simulation.worker().persist([change], redelivered=True)

    assert simulation.published.all(RecordRefused) == []
    assert [e.message.content for e in simulation.published.all(MessageEdited)] == ["better", "better"]
    simulation.check()


async def test_an_edit_and_a_deletion_take_revisions_but_no_numbers() -> None:
    simulation = Simulation()
    first, second = new("ann"), new("bob")
    await simulation.worker().persist([first, second])

    await simulation.worker().persist([edit(first, "better"), delete(second)])

    (edited,), (deleted,) = simulation.published.all(MessageEdited), simulation.published.all(MessageDeleted)
    assert (edited.message.content, edited.message.seq, edited.message.rev) == ("better", 1, 3)
    assert (deleted.message.content, deleted.message.seq, deleted.message.rev) == ("", 2, 4)
    simulation.check()


async def test_a_deletion_stands_though_an_edit_follows_it() -> None:
    simulation = Simulation()
    first = new("ann")
    await simulation.worker().persist([first])

    await simulation.worker().persist([delete(first), edit(first, "back again")])

    (stored,) = simulation.tables.of_conversation(C)
    assert stored.deleted_at is not None
    assert stored.content == ""
    simulation.check()


async def test_a_change_that_is_delivered_twice_is_made_once() -> None:
    simulation = Simulation()
    first = new("ann")
    change = edit(first, "better")
    await simulation.worker().persist([first, change])

    await simulation.worker().persist([change], redelivered=True)

    assert [e.message.rev for e in simulation.published.all(MessageEdited)] == [2, 2]
    simulation.check()


async def test_more_changes_than_are_remembered_that_are_delivered_twice_leave_the_last() -> None:
    simulation = Simulation()
    first = new("ann")
    changes = [edit(first, str(n)) for n in range(REMEMBERED_CHANGES + 4)]
    await simulation.worker().persist([first, *changes])

    await simulation.worker().persist([first, *changes], redelivered=True)

    (stored,) = simulation.tables.of_conversation(C)
    assert (stored.content, stored.rev) == (changes[-1].content, 2)
    simulation.check()


CUTS = st.lists(st.integers(1, 14), min_size=1, max_size=8)
EDITS = st.lists(st.integers(0, 1), min_size=1, max_size=30)


async def changed(simulation: Simulation, of: Sequence[int]) -> tuple[list[NewMessage], list[Edit]]:
    """Store two messages; return them and edits of them, as `of` lists, not stored yet."""
    sent = [new("ann"), new("ann")]
    await simulation.worker().persist(sent)
    return sent, [edit(sent[which], str(number)) for number, which in enumerate(of)]


def check_last_edits(simulation: Simulation, sent: Sequence[NewMessage], edits: Sequence[Edit]) -> None:
    """Check that each message is as its last edit left it, and that each edit was confirmed."""
    for record in sent:
        mine = [e.content for e in edits if e.message_id == record.message.id]
        assert simulation.tables.messages[record.message.id].content == (mine or ["hello"])[-1]
    confirmed = {i for e in simulation.published.all(MessageEdited) for i in e.record_ids}
    assert confirmed == {e.id for e in edits}
    assert not simulation.published.all(RecordRefused)
    simulation.check()


@settings(max_examples=300, deadline=None)
@given(EDITS, st.lists(CUTS, min_size=1, max_size=4), st.integers(0, 12))
def test_edits_redelivered_in_any_cuts_leave_the_last_one(
    of: list[int], deliveries: list[list[int]], calls: int
) -> None:
    """The first worker crashes after some calls; all edits come again, several times, in other batches."""
    simulation = Simulation()

    async def run() -> None:
        sent, edits = await changed(simulation, of)
        for number, sizes in enumerate(deliveries):
            for batch in cut(edits, sizes):
                try:
                    await simulation.worker(Fuse(0 if number else calls)).persist(
                        batch, redelivered=number > 0
                    )
                except Crash:
                    break
        for batch in cut(edits, deliveries[-1]):
            await simulation.worker().persist(batch, redelivered=True)
        check_last_edits(simulation, sent, edits)

    asyncio.run(run())


@settings(max_examples=300, deadline=None)
@given(EDITS, CUTS, CUTS, st.integers(1, 12), st.integers(0, 30))
def test_a_zombie_s_edits_never_win_over_later_ones(
    of: list[int], its_cut: list[int], cuts: list[int], calls: int, its_edits: int
) -> None:
    """A worker freezes at one of its calls, another stores all edits, then the first goes on with its own."""
    simulation = Simulation()

    async def run() -> None:
        sent, edits = await changed(simulation, of)
        gate = asyncio.Event()
        zombie = asyncio.create_task(
            persist_all(frozen(simulation, gate, calls), cut(edits[:its_edits], its_cut))
        )
        for _ in range(200):
            await asyncio.sleep(0)
        await persist_all(simulation.worker(), cut(edits, cuts), redelivered=True)
        gate.set()
        await zombie
        check_last_edits(simulation, sent, edits)

    asyncio.run(run())


def cut(edits: Sequence[Edit], sizes: Sequence[int]) -> list[Sequence[Edit]]:
    """Cut edits into batches of these sizes, over and over."""
    batches, at = [], 0
    for size in itertools.cycle(sizes):
        if at >= len(edits):
            return batches
        batches.append(edits[at : at + size])
        at += size
    return batches


async def persist_all(worker: Persister, batches: list[Sequence[Edit]], *, redelivered: bool = False) -> None:
    for batch in batches:
        await worker.persist(batch, redelivered=redelivered)


async def test_an_edit_behind_a_deletion_is_refused_each_time_it_is_delivered() -> None:
    simulation = Simulation()
    first = new("ann")
    before, gone, late = edit(first, "before"), delete(first), edit(first, "late")
    await simulation.worker().persist([first])
    for redelivered in (False, True):
        await simulation.worker().persist([before, gone, late], redelivered=redelivered)

    refused = simulation.published.all(RecordRefused)
    assert [(e.record_id, e.code) for e in refused] == [(late.id, "CONFLICT")] * 2
    assert [e.record_ids for e in simulation.published.all(MessageDeleted)] == [(before.id, gone.id)] * 2


async def test_a_second_deletion_is_confirmed() -> None:
    simulation = Simulation()
    first = new("ann")
    await simulation.worker().persist([first])
    gone, again = delete(first), delete(first)
    await simulation.worker().persist([gone])
    await simulation.worker().persist([again])

    confirmed = [(e.record_ids, e.message.rev) for e in simulation.published.all(MessageDeleted)]
    assert confirmed == [((gone.id,), 2), ((again.id,), 2)]


class Counted:
    """Notes the names of the calls."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.asked.append(name)
        return getattr(self._target, name)


async def test_retries_amid_new_messages_are_looked_for_once_and_keep_their_numbers() -> None:
    simulation = Simulation()
    names = [str(uuid.uuid4()) for _ in range(6)]
    await simulation.worker().persist([new("ann", name, name) for name in names[::2]])
    messages: Any = Counted(MemoryMessages(simulation.tables))
    heads: Any = Counted(MemoryHeads(simulation.tables))

    await Persister(messages, heads, MemoryMemberships(simulation.tables), simulation.published).persist(
        [new("ann", name, name) for name in reversed(names)]
    )

    assert messages.asked == ["insert", "find", "insert"]
    assert heads.asked == ["begin", "commit"]
    order = [0, 2, 4, 5, 3, 1]
    assert [m.content for m in simulation.tables.of_conversation(C)] == [names[at] for at in order]
    assert [e.message.seq for e in simulation.published.all(MessageRepeated)] == [3, 2, 1]
    simulation.check()


async def test_a_former_member_s_retry_is_the_message_that_was_stored() -> None:
    simulation = Simulation()
    name = str(uuid.uuid4())
    await simulation.worker().persist([new("bob", name=name)])
    bob = simulation.tables.memberships[C, "bob"]
    simulation.tables.memberships[C, "bob"] = replace(bob, left_at=now())

    await simulation.worker().persist([new("bob", name=name), new("bob", name=str(uuid.uuid4()))])

    assert [e.message.seq for e in simulation.published.all(MessageRepeated)] == [1]
    assert len(simulation.published.all(RecordRefused)) == 1
    assert len(simulation.tables.messages) == 1


async def test_a_retry_of_a_message_with_attachments_is_not_inserted_again() -> None:
    simulation = Simulation()
    record = new("ann", name=str(uuid.uuid4()))
    attached = replace(record.message, attachments=(Attachment(id="a", name="a", size=1, type="text/plain"),))
    record = replace(record, message=attached)
    await simulation.worker().persist([record])
    await simulation.worker().persist([delete(record)])
    messages: Any = Counted(MemoryMessages(simulation.tables))

    await Persister(
        messages, MemoryHeads(simulation.tables), MemoryMemberships(simulation.tables), simulation.published
    ).persist([record])

    assert "insert" not in messages.asked, "an insert would refer to the deleted attachment again"
    assert len(simulation.published.all(MessageRepeated)) == 1


async def test_the_changes_of_a_batch_are_written_together() -> None:
    simulation = Simulation()
    sent = [new("ann") for _ in range(20)]
    await simulation.worker().persist(sent)
    heads, members = MemoryHeads(simulation.tables), MemoryMemberships(simulation.tables)
    messages: Any = Counted(MemoryMessages(simulation.tables))
    await Persister(messages, heads, members, simulation.published).persist(
        [*(edit(record, "better") for record in sent[:10]), *(delete(record) for record in sent[10:])]
    )

    assert messages.asked == ["find", "replace"]
    assert simulation.tables.conversations[C].rev == 40
    revisions = [e.message.rev for e in simulation.published.events[20:]]
    assert revisions == list(range(21, 41))
    simulation.check()


async def test_reading_counts_own_messages_above_the_mark() -> None:
    simulation = Simulation()
    await simulation.worker().persist([new("ann"), new("bob"), new("ann"), new("bob"), new("cem")])

    await simulation.worker().persist([read("bob", 3)])

    (event,) = simulation.published.all(ConversationRead)
    assert (event.seq, event.own_since_read) == (3, 1)
    assert simulation.tables.memberships[C, "bob"].unread(5, 0) == 1
    simulation.check()


async def test_only_messages_above_the_senders_read_mark_are_counted_as_own() -> None:
    simulation = Simulation()
    asked: list[str] = []

    class Asked(MemoryMessages):
        async def count_own(self, key: tuple[str, str], above: int, upto: int) -> int:
            asked.append(key[1])
            return await super().count_own(key, above, upto)

    heads, members = MemoryHeads(simulation.tables), MemoryMemberships(simulation.tables)
    worker = Persister(Asked(simulation.tables), heads, members, simulation.published)
    await worker.persist([new("ann"), new("bob"), new("ann")])

    await worker.persist([read("ann", 3), read("bob", 1), read("cem", 2)])

    assert asked == ["bob"]
    simulation.check()


async def test_a_mark_never_goes_back_nor_past_the_end() -> None:
    simulation = Simulation()
    await simulation.worker().persist([new("ann"), new("ann")])
    await simulation.worker().persist([read("bob", 99), read("bob", 1)])
    assert simulation.tables.memberships[C, "bob"].read_seq == 2
    assert len(simulation.published.all(ConversationRead)) == 1
    simulation.check()


async def test_received_is_not_read() -> None:
    simulation = Simulation()
    mark = DeliveredMark(id="d", conversation_id=C, user_id="bob", seq=1, at=now())
    await simulation.worker().persist([new("ann"), mark])
    membership = simulation.tables.memberships[C, "bob"]
    assert (membership.delivered_seq, membership.read_seq, membership.unread(1, 0)) == (1, 0, 1)


async def test_a_database_that_is_away_loses_nothing() -> None:
    simulation = Simulation()

    class Away(MemoryMessages):
        async def insert(self, messages: Sequence[Message]) -> int:
            await super().insert(messages[:1])
            raise StoreUnavailable("gone in the middle")

    records = [new("ann"), new("bob")]
    heads, members = MemoryHeads(simulation.tables), MemoryMemberships(simulation.tables)
    failing = Persister(Away(simulation.tables), heads, members, simulation.published)
    for _ in range(2):
        try:
            await failing.persist(records, redelivered=True)
        except StoreUnavailable:
            continue

    await simulation.worker().persist(records, redelivered=True)

    assert [m.id for m in simulation.tables.of_conversation(C)] == [r.message.id for r in records]
    simulation.check()


def scripts() -> st.SearchStrategy[list[tuple[str, str, int]]]:
    """Generate the records of a conversation as (kind, user, number)."""
    kind = st.sampled_from(["new", "new", "new", "retry", "edit", "delete", "read"])
    return st.lists(st.tuples(kind, st.sampled_from(USERS), st.integers(0, 30)), max_size=25)


def records_of(script: list[tuple[str, str, int]]) -> list[Record]:
    made: list[Record] = []
    sent: list[NewMessage] = []
    for kind, user, number in script:
        if kind == "read":
            made.append(read(user, number))
        elif kind == "new" or not sent:
            sent.append(new(user, name=str(uuid.uuid4())))
            made.append(sent[-1])
        else:
            first = sent[number % len(sent)]
            again = replace(first, id=str(uuid.uuid4()))
            made.append({"retry": again, "edit": edit(first, "x"), "delete": delete(first)}[kind])
    return made


@settings(max_examples=300, deadline=None)
@given(scripts(), st.lists(st.tuples(st.integers(1, 12), st.integers(0, 40)), max_size=12))
def test_crashes_at_any_step_lose_double_and_miscount_nothing(
    script: list[tuple[str, str, int]], plan: list[tuple[int, int]]
) -> None:
    """Each step of the plan takes a batch and crashes after some calls; unacknowledged records come again."""
    simulation = Simulation()
    records = records_of(script)
    queue, redelivered = records, False

    async def run() -> None:
        nonlocal queue, redelivered
        for size, calls in [*plan, *[(5, 0)] * (len(queue) + 1)]:
            batch, rest = queue[:size], queue[size:]
            try:
                await simulation.worker(Fuse(calls) if calls else None).persist(
                    batch, redelivered=redelivered
                )
            except Crash:
                redelivered = True
                continue
            queue, redelivered = rest, redelivered and bool(rest)

    asyncio.run(run())
    simulation.check()
    assert set(simulation.tables.messages) == {r.message.id for r in records if isinstance(r, NewMessage)}
    published: dict[int, str] = {}
    for event in simulation.published.all(MessageStored):
        assert published.setdefault(event.message.seq, event.message.id) == event.message.id


@settings(max_examples=300, deadline=None)
@given(scripts(), st.lists(st.tuples(st.integers(1, 8), st.integers(1, 40)), min_size=1, max_size=4))
def test_a_batch_that_a_restored_database_holds_in_part_is_counted_with_the_next_message(
    script: list[tuple[str, str, int]], plan: list[tuple[int, int]]
) -> None:
    """The database is restored to a moment within a batch, whose records the broker gives to nobody again."""
    simulation = Simulation()
    records = records_of(script)

    async def run() -> None:
        queue = records
        for size, calls in plan:
            batch, queue = queue[:size], queue[size:]
            with suppress(Crash):
                await simulation.worker(Fuse(calls)).persist(batch)
            await simulation.worker().persist([new("cem")])

    asyncio.run(run())
    simulation.check()


@settings(max_examples=300, deadline=None)
@given(scripts(), st.lists(st.tuples(st.integers(1, 8), st.integers(1, 40)), min_size=1, max_size=4))
def test_a_zombie_that_goes_on_where_it_was_frozen_does_no_harm(
    script: list[tuple[str, str, int]], plan: list[tuple[int, int]]
) -> None:
    """A worker stops in the middle of a batch, another does everything, then the first continues."""
    simulation = Simulation()
    records = records_of(script)

    async def run() -> None:
        for size, pause in plan:
            gate = asyncio.Event()
            zombie = asyncio.create_task(frozen(simulation, gate, pause).persist(records[:size]))
            for _ in range(pause + 60):
                await asyncio.sleep(0)
            await simulation.worker().persist(records, redelivered=True)
            gate.set()
            await zombie
        await simulation.worker().persist(records, redelivered=True)

    asyncio.run(run())
    simulation.check()


async def overtaken(
    simulation: Simulation, records: list[Record], calls: int, *meanwhile: list[Record]
) -> None:
    """A worker freezes at one of its calls; another does its records and more; then the first goes on."""
    gate = asyncio.Event()
    zombie = asyncio.create_task(frozen(simulation, gate, calls).persist(records))
    for _ in range(60):
        await asyncio.sleep(0)
    await simulation.worker().persist(records, redelivered=True)
    for batch in meanwhile:
        await simulation.worker().persist(batch)
    gate.set()
    await zombie


async def test_a_worker_that_inserted_half_a_batch_shows_no_older_message_as_the_last() -> None:
    simulation = Simulation()
    first, second = new("ann", "first", str(uuid.uuid4())), new("ann", "second", str(uuid.uuid4()))

    class Half(MemoryMessages):
        """Another worker did everything between the first message and the second."""

        async def insert(self, messages: Sequence[Message]) -> int:
            if not (done := await super().insert(messages[:1])):
                return 0
            await simulation.worker().persist([first, second], redelivered=True)
            return done

    heads, members = MemoryHeads(simulation.tables), MemoryMemberships(simulation.tables)
    await Persister(Half(simulation.tables), heads, members, simulation.published).persist([first, second])

    last = simulation.tables.conversations[C].last_message
    assert last is not None
    assert last.content == "second"
    simulation.check()


async def test_a_worker_frozen_before_a_deletion_does_not_show_the_message_again() -> None:
    for calls in range(1, 12):
        simulation = Simulation()
        sent = new("ann", "secret", str(uuid.uuid4()))
        await overtaken(simulation, [sent], calls, [delete(sent)])
        last = simulation.tables.conversations[C].last_message
        assert last is not None
        assert last.content == "", calls


async def test_an_edit_that_a_frozen_worker_held_does_not_undo_a_later_one() -> None:
    simulation = Simulation()
    first = new("ann")
    await simulation.worker().persist([first])
    held, later = edit(first, "held"), edit(first, "later")

    await overtaken(simulation, [held], 1, [later])
    assert [m.content for m in simulation.tables.of_conversation(C)] == ["later"]

    again = edit(first, "again")
    await overtaken(simulation, [held], 1, [later, again])
    assert [m.content for m in simulation.tables.of_conversation(C)] == ["again"]
    simulation.check()


async def test_an_edit_redelivered_after_a_deletion_announces_the_deletion() -> None:
    simulation = Simulation()
    first = new("ann")
    change = edit(first, "better")
    await simulation.worker().persist([first, change])
    await simulation.worker().persist([delete(first)])

    await simulation.worker().persist([change], redelivered=True)

    assert len(simulation.published.all(MessageEdited)) == 1
    assert [e.message.rev for e in simulation.published.all(MessageDeleted)] == [3, 3]


def frozen(simulation: Simulation, gate: asyncio.Event, calls: int) -> Persister:
    class Freezing:
        left = calls

        def __init__(self, target: Any) -> None:
            self._target = target

        def __getattr__(self, name: str) -> Any:
            method = getattr(self._target, name)

            async def call(*args: Any) -> Any:
                Freezing.left -= 1
                if Freezing.left == 0:
                    await gate.wait()
                return await method(*args)

            return call

    parts: Any = [
        Freezing(p)
        for p in (
            MemoryMessages(simulation.tables),
            MemoryHeads(simulation.tables),
            MemoryMemberships(simulation.tables),
            simulation.published,
        )
    ]
    return Persister(*parts)


async def test_a_zombie_that_measures_the_head_keeps_where_the_epochs_began() -> None:
    simulation = Simulation()
    first = new("ann")
    await simulation.worker().persist([first])
    owner, gate, edits = simulation.worker(), asyncio.Event(), [edit(first, str(n)) for n in range(4)]
    zombie = asyncio.create_task(frozen(simulation, gate, 3).persist(edits))
    for _ in range(60):
        await asyncio.sleep(0)
    for change in edits[:3]:
        await owner.persist([change], redelivered=True)
    before = simulation.tables.conversations[C].epochs

    gate.set()
    await zombie

    assert simulation.tables.conversations[C].epochs[: len(before)] == before
    simulation.check()


@pytest.mark.parametrize("crashes", [False, True])
async def test_a_zombie_s_message_keeps_no_revision_that_a_changed_message_has_left(crashes: bool) -> None:
    simulation = Simulation()
    first, late = new("ann"), new("bob", "late", str(uuid.uuid4()))
    await simulation.worker().persist([first])
    edits = [edit(first, str(n)) for n in range(3)]

    class Overtaken(MemoryMessages):
        """Another worker has stored the edits one by one before the message is inserted."""

        async def insert(self, messages: Sequence[Message]) -> int:
            for change in edits:
                await simulation.worker().persist([change], redelivered=True)
            inserted = await super().insert(messages)
            if crashes:
                raise Crash
            return inserted

    heads, members = MemoryHeads(simulation.tables), MemoryMemberships(simulation.tables)
    zombie = Persister(Overtaken(simulation.tables), heads, members, simulation.published)
    with pytest.raises(Crash) if crashes else contextlib.nullcontext():
        await zombie.persist([*edits, late])
    await simulation.worker().persist([late], redelivered=True)

    stored = simulation.tables.messages[late.message.id]
    assert (stored.seq, stored.rev) == (2, 5)
    assert {e.message.rev for e in simulation.published.all(MessageStored)} == {1, 5}
    simulation.check()


async def test_a_message_of_a_zombie_gets_its_place_when_another_one_meets_it() -> None:
    simulation = Simulation()
    first, late, other = new("ann"), new("bob", "late", str(uuid.uuid4())), new("ann", "other")
    await simulation.worker().persist([first])
    for number in range(3):
        await simulation.worker().persist([edit(first, str(number))])
    await MemoryMessages(simulation.tables).insert([replace(late.message, seq=2, rev=2)])

    await simulation.worker().persist([other])
    await simulation.worker().persist([late], redelivered=True)

    stored = simulation.tables.of_conversation(C)
    assert [(m.seq, m.rev) for m in stored] == [(1, 4), (2, 5), (3, 6)]
    assert [e.message.rev for e in simulation.published.all(MessageStored)] == [1, 6, 5]
    simulation.check()


async def test_a_worker_that_was_overtaken_stores_nothing_by_what_it_knows() -> None:
    simulation = Simulation()
    overtaken, other = simulation.worker(), simulation.worker()
    await overtaken.persist([new("ann", "1")])
    await other.persist([new("ann", "2"), read("ann", 2)])

    await overtaken.persist([new("ann", "3")])

    assert [m.content for m in simulation.tables.of_conversation(C)] == ["1", "2", "3"]
    simulation.check()


async def test_a_message_of_a_user_who_has_left_since_the_last_batch_is_refused() -> None:
    simulation = Simulation()
    worker = simulation.worker()
    await worker.persist([new("ann", "1")])
    left = replace(simulation.tables.memberships[C, "ann"], left_at=now())
    simulation.tables.memberships[C, "ann"] = left

    await worker.persist([new("ann", "2")])

    assert [e.code for e in simulation.published.all(RecordRefused)] == ["NOT_FOUND"]
    assert [m.content for m in simulation.tables.of_conversation(C)] == ["1"]


async def test_a_retry_is_found_by_a_worker_that_reads_nothing() -> None:
    simulation = Simulation()
    worker = simulation.worker()
    name = str(uuid.uuid4())
    for content in ("hello", "hello"):
        await worker.persist([new("ann", content, name)])

    assert len(simulation.published.all(MessageStored)) == 1
    assert [e.message.seq for e in simulation.published.all(MessageRepeated)] == [1]
    simulation.check()
