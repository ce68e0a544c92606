"""The batch algorithm: the messages and marks of a batch are stored, announced and counted."""

import uuid
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from fakes.memory_store import MemoryHeads, MemoryMemberships, MemoryMessages
from fakes.persistence import C, Counted, Simulation, delete, edit, new, read
from parley.persistence_worker.persist import Persister
from parley.persistence_worker.ports import StoreUnavailable
from parley.shared.events import (
    ConversationRead,
    MessageDeleted,
    MessageEdited,
    MessageRepeated,
    MessageStored,
    RecordRefused,
)
from parley.shared.model import (
    Attachment,
    Message,
    now,
)
from parley.shared.records import DeliveredMark


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
