"""The batch algorithm: edits and deletions, once each and in order, however often they come."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.memory_store import MemoryHeads, MemoryMemberships, MemoryMessages
from fakes.persistence import (
    C,
    Counted,
    Crash,
    Fuse,
    Simulation,
    delete,
    edit,
    frozen,
    new,
)
from parley.persistence_worker.persist import Persister
from parley.shared.events import (
    MessageDeleted,
    MessageEdited,
    RecordRefused,
)
from parley.shared.model import (
    REMEMBERED_CHANGES,
)
from parley.shared.records import Edit, NewMessage


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
