"""The batch algorithm, crashed at every step, and beside workers that were frozen and go on."""

import asyncio
import contextlib
import uuid
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.memory_store import MemoryHeads, MemoryMemberships, MemoryMessages
from fakes.persistence import (
    USERS,
    C,
    Crash,
    Fuse,
    Simulation,
    delete,
    edit,
    frozen,
    new,
    read,
)
from parley.persistence_worker.persist import Persister
from parley.shared.events import (
    MessageDeleted,
    MessageEdited,
    MessageRepeated,
    MessageStored,
    RecordRefused,
)
from parley.shared.model import (
    Message,
    now,
)
from parley.shared.records import NewMessage, Record


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
