"""The store of the batch algorithm: MongoDB and the fake in memory behave alike."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from clients.committed_store import CommittedMemberships, CommittedMessages
from fakes.memory_store import MemoryHeads, MemoryMemberships, MemoryMessages, MemoryWholeBatches, Tables
from parley.persistence_worker.ports import (
    Head,
    HeadMove,
    Heads,
    Memberships,
    Messages,
    Names,
    Snapshot,
    StoreUnavailable,
    Term,
    WholeBatch,
    WholeBatches,
)
from parley.persistence_worker.primary_connection import TRANSACTION_BYTES, PrimaryConnection
from parley.persistence_worker.store_mongo import MongoHeads
from parley.persistence_worker.whole_batches_mongo import MongoWholeBatches
from parley.shared.documents import (
    CONVERSATIONS,
    MEMBERSHIPS,
    MESSAGES,
    from_document,
    membership_id,
    to_document,
)
from parley.shared.migrations import migrate
from parley.shared.model import Conversation, Digest, Epoch, Membership, Message, now
from parley.shared.mongo import Database


@dataclass
class Store:
    messages: Messages
    heads: Heads
    memberships: Memberships
    whole_batches: WholeBatches
    database: Any
    tables: Tables

    async def term(self) -> Term:
        return (await self.heads.begin(Names([], [], []))).term

    async def begin(self, *users: str) -> str:
        """Create a conversation with members and return its id."""
        at = now()
        conversation_id = str(uuid.uuid4())
        conversation = Conversation(id=conversation_id, kind="group", created_by=users[0], created_at=at)
        self.tables.conversations[conversation_id] = conversation
        if self.database is not None:
            await self.database[CONVERSATIONS].insert_one(to_document(conversation))
        for user in users:
            membership = Membership(conversation_id=conversation_id, user_id=user, joined_at=at)
            self.tables.memberships[conversation_id, user] = membership
            if self.database is not None:
                await self.database[MEMBERSHIPS].insert_one(to_document(membership))
        return conversation_id

    async def leave(self, conversation_id: str, user: str) -> None:
        """Have a member leave."""
        key, at = (conversation_id, user), now()
        self.tables.memberships[key] = replace(self.tables.memberships[key], left_at=at)
        if self.database is not None:
            query = {"_id": membership_id(*key)}
            await self.database[MEMBERSHIPS].update_one(query, {"$set": {"leftAt": at}})

    async def conversation(self, conversation_id: str) -> Conversation:
        if self.database is None:
            return self.tables.conversations[conversation_id]
        return from_document(
            Conversation, await self.database[CONVERSATIONS].find_one({"_id": conversation_id})
        )


@pytest.fixture(params=["memory", "mongodb"])
async def store(request: pytest.FixtureRequest, database: Database, primary: PrimaryConnection) -> Store:
    tables = Tables()
    if request.param == "memory":
        return Store(
            MemoryMessages(tables),
            MemoryHeads(tables),
            MemoryMemberships(tables),
            MemoryWholeBatches(tables),
            None,
            tables,
        )
    await migrate(database)
    return Store(
        CommittedMessages(primary),
        MongoHeads(primary),
        CommittedMemberships(primary),
        MongoWholeBatches(primary),
        database,
        tables,
    )


def message(conversation_id: str, seq: int, sender: str = "ann", **more: Any) -> Message:
    fields = {"id": str(uuid.uuid4()), "content": f"message {seq}", "rev": seq, "created_at": now(), **more}
    return Message(conversation_id=conversation_id, sender_id=sender, seq=seq, **fields)


async def test_an_inserted_message_is_found_unchanged(store: Store) -> None:
    c = await store.begin("ann")
    first = message(c, 1, client_message_id=str(uuid.uuid4()), temp_id="t", stored_at=now())

    assert await store.messages.insert([first, message(c, 2)]) == 2

    assert await store.messages.find([first.id, "nothing"]) == {first.id: first}


async def test_inserting_stops_before_the_first_whose_id_is_taken(store: Store) -> None:
    c = await store.begin("ann")
    there = message(c, 1)
    await store.messages.insert([there])
    fresh, after = message(c, 2), message(c, 4)

    assert await store.messages.insert([fresh, replace(there, seq=3, rev=3), after]) == 1

    assert set(await store.messages.find([fresh.id, after.id])) == {fresh.id}


@pytest.mark.parametrize("taken", ["seq", "rev"])
async def test_inserting_stops_before_the_first_whose_number_is_taken(store: Store, taken: str) -> None:
    c = await store.begin("ann")
    await store.messages.insert([message(c, 2)])
    clash = replace(message(c, 7), **{taken: 2})

    assert await store.messages.insert([message(c, 1), clash, message(c, 3)]) == 1


async def test_the_same_number_is_free_in_another_conversation(store: Store) -> None:
    c, d = await store.begin("ann"), await store.begin("ann")
    assert await store.messages.insert([message(c, 1), message(d, 1)]) == 2


async def test_a_replaced_message_keeps_the_fields_of_a_newer_version(
    database: Database, primary: PrimaryConnection
) -> None:
    await migrate(database)
    messages, stored = CommittedMessages(primary), message(str(uuid.uuid4()), 1)
    await database[MESSAGES].insert_one({**to_document(stored), "replyTo": "m", "colour": {"red": 1}})

    assert await messages.replace([(replace(stored, rev=2, content="edited"), 1)]) == 1

    document = await database[MESSAGES].find_one({"_id": stored.id})
    assert from_document(Message, document) == replace(stored, rev=2, content="edited")
    assert document["colour"] == {"red": 1}
    assert "replyTo" not in document


async def test_a_message_is_replaced_only_at_the_revision_that_was_read(store: Store) -> None:
    c = await store.begin("ann")
    first, second = message(c, 1), message(c, 2)
    await store.messages.insert([first, second])
    edited = replace(first, rev=3, content="edited")

    assert await store.messages.replace([(edited, 1)]) == 1
    assert await store.messages.replace([(replace(first, rev=4, content="late"), 1)]) == 0
    assert await store.messages.replace([(replace(edited, rev=2, content="taken"), 3)]) == 0
    assert (await store.messages.find([first.id]))[first.id] == edited


@pytest.mark.parametrize("fault", ["its revision is another", "its new revision is taken", "it is gone"])
async def test_replacing_stops_before_the_first_message_that_cannot_be_replaced(
    store: Store, fault: str
) -> None:
    c = await store.begin("ann")
    first, second, third = (message(c, seq) for seq in (1, 2, 3))
    await store.messages.insert([first, second, third])
    changed = [replace(m, rev=10 + m.rev, content="edited", edited_at=now()) for m in (first, second, third)]
    wrong = {
        "its revision is another": (changed[1], 9),
        "its new revision is taken": (replace(changed[1], rev=3), 2),
        "it is gone": (replace(changed[1], id=str(uuid.uuid4())), 2),
    }[fault]

    assert await store.messages.replace([(changed[0], 1), wrong, (changed[2], 3)]) == 1

    expected = [changed[0], second, third]
    found = await store.messages.find([m.id for m in (first, second, third, wrong[0])])
    assert found == {m.id: m for m in expected}


async def test_a_noted_change_keeps_its_place(store: Store) -> None:
    ids = [str(uuid.uuid4()) for _ in range(3)]
    await store.messages.note_changes({ids[0]: 1, ids[1]: 2})
    await store.messages.note_changes({ids[0]: 7, ids[2]: 3})

    assert await store.messages.past_changes(ids) == {ids[0]: 1, ids[1]: 2, ids[2]: 3}
    assert await store.messages.past_changes([str(uuid.uuid4())]) == {}


async def test_own_messages_are_counted_between_two_numbers(store: Store) -> None:
    c = await store.begin("ann", "bob")
    await store.messages.insert([message(c, n, "ann" if n % 2 else "bob") for n in range(1, 8)])

    assert await store.messages.count_own((c, "ann"), 1, 6) == 2
    assert await store.messages.count_own((c, "ann"), 0, 7) == 4
    assert await store.messages.count_own((c, "bob"), 6, 7) == 0
    assert await store.messages.count_own((c, "nobody"), 0, 7) == 0


async def test_the_senders_are_found_between_two_numbers(store: Store) -> None:
    c = await store.begin("ann", "bob")
    await store.messages.insert([message(c, n, "ann" if n < 3 else "bob") for n in range(1, 5)])

    assert await store.messages.senders(c, 0, 2) == {"ann"}
    assert await store.messages.senders(c, 1, 4) == {"ann", "bob"}
    assert await store.messages.senders(c, 4, 9) == set()


async def test_heads_only_move_forward(store: Store) -> None:
    c = await store.begin("ann")
    assert await store.heads.read([c, "nothing"]) == {c: Head(0, 0)}
    assert await store.heads.measure(c, Head(0, 0)) == (Head(0, 0), None)
    last = message(c, 2, rev=5)
    await store.messages.insert([message(c, 1), last])
    assert await store.heads.measure(c, Head(0, 0)) == (Head(2, 5), last)

    await store.heads.commit([HeadMove(c, Head(2, 5), digest(last))], await store.term())
    await store.heads.commit([HeadMove(c, Head(1, 1), digest(message(c, 1)))], await store.term())

    assert await store.heads.read([c]) == {c: Head(2, 5)}
    moved = (await store.conversation(c)).last_message
    assert moved is not None
    assert moved.id == last.id


async def test_a_head_that_is_behind_holds_up_no_other(store: Store) -> None:
    c, d = await store.begin("ann"), await store.begin("ann")
    await store.heads.commit([HeadMove(c, Head(4, 4), digest(message(c, 4)))], await store.term())
    behind, costly = message(c, 2), message(d, 3, content="$9.99 for $$ROOT")

    await store.heads.commit(
        [HeadMove(c, Head(2, 2), digest(behind)), HeadMove(d, Head(3, 3), digest(costly))],
        await store.term(),
    )

    assert await store.heads.read([c, d]) == {c: Head(4, 4), d: Head(3, 3)}
    last = (await store.conversation(d)).last_message
    assert last is not None
    assert last.content == "$9.99 for $$ROOT"


async def test_a_head_that_is_still_stays_as_it_is(store: Store) -> None:
    c = await store.begin("ann")
    await store.heads.commit([HeadMove(c, Head(2, 2), digest(message(c, 2)))], await store.term())
    before = await store.conversation(c)

    await store.heads.commit([HeadMove(c, Head(2, 2), None, is_still=True)], await store.term())

    assert await store.conversation(c) == before


async def test_a_head_that_moves_is_the_conversation_s_last_activity(store: Store) -> None:
    c = await store.begin("ann")
    later = (await store.conversation(c)).last_activity_at + timedelta(hours=1)
    last = message(c, 2, created_at=later)
    await store.heads.commit([HeadMove(c, Head(2, 2), digest(last))], await store.term())
    assert (await store.conversation(c)).last_activity_at == later
    await store.heads.commit([HeadMove(c, Head(1, 1), digest(message(c, 1)))], await store.term())
    assert (await store.conversation(c)).last_activity_at == later


async def test_a_revision_advances_when_the_number_was_overtaken(store: Store) -> None:
    c = await store.begin("ann")
    await store.heads.commit([HeadMove(c, Head(4, 4), None)], await store.term())
    await store.heads.commit([HeadMove(c, Head(3, 6), None)], await store.term())
    assert await store.heads.read([c]) == {c: Head(4, 6)}


async def test_a_number_is_not_raised_under_a_revision_that_is_behind(store: Store) -> None:
    c = await store.begin("ann")
    overtaken = message(c, 2)
    await store.messages.insert([message(c, 1, rev=4), overtaken])
    await store.heads.commit([HeadMove(c, Head(1, 4), None)], await store.term())

    with pytest.raises(StoreUnavailable):
        await store.heads.commit([HeadMove(c, Head(2, 2), None)], await store.term())

    assert await store.heads.read([c]) == {c: Head(1, 4)}
    assert await store.heads.overtaken(c, Head(1, 4)) == [overtaken]
    assert await store.heads.overtaken(c, Head(2, 4)) == []


async def test_a_head_is_not_replaced_by_an_older_revision(store: Store) -> None:
    c = await store.begin("ann")
    stored = message(c, 1)
    await store.heads.commit(
        [HeadMove(c, Head(1, 2), digest(replace(stored, rev=2, content="edited")))], await store.term()
    )
    await store.heads.commit([HeadMove(c, Head(1, 1), digest(stored))], await store.term())
    assert await store.heads.read([c]) == {c: Head(1, 2)}
    moved = (await store.conversation(c)).last_message
    assert moved is not None
    assert moved.content == "edited"


async def test_counters_are_saved_only_over_the_values_that_were_read(store: Store) -> None:
    c = await store.begin("ann", "bob")
    was = await store.memberships.read([(c, "ann"), (c, "bob"), (c, "nobody")])
    assert set(was) == {(c, "ann"), (c, "bob")}
    ann, bob = was[c, "ann"], was[c, "bob"]

    assert await store.memberships.save([(ann, replace(ann, own_seq=1, own_since_read=1))]) == []
    overtaken = await store.memberships.save(
        [(ann, replace(ann, own_seq=2, own_since_read=9)), (bob, replace(bob, read_seq=1, delivered_seq=1))]
    )

    assert overtaken == [(c, "ann")]
    stored = await store.memberships.read([(c, "ann"), (c, "bob")])
    assert (stored[c, "ann"].own_seq, stored[c, "ann"].own_since_read) == (1, 1)
    assert (stored[c, "bob"].read_seq, stored[c, "bob"].delivered_seq) == (1, 1)


async def test_saving_equal_counters_twice_is_no_conflict(store: Store) -> None:
    c = await store.begin("ann")
    ann = (await store.memberships.read([(c, "ann")]))[c, "ann"]
    change = (ann, replace(ann, own_seq=1, own_since_read=1))

    assert await store.memberships.save([change]) == []
    assert await store.memberships.save([change]) == []


def digest(m: Message) -> Digest:
    return Digest(
        id=m.id, seq=m.seq, sender_id=m.sender_id, content=m.content, type=m.type, created_at=m.created_at
    )


async def test_a_measured_head_has_the_epochs_above_the_known_one(store: Store) -> None:
    c = await store.begin("ann")
    await store.messages.insert([message(c, 1, epoch=7), message(c, 2, epoch=7), message(c, 3, epoch=8)])

    known, measured = Head(0, 0), (await store.heads.measure(c, Head(0, 0)))[0]
    assert measured == Head(3, 3, (Epoch(7, 1), Epoch(8, 3)))
    assert (await store.heads.measure(c, Head(2, 2, (Epoch(7, 1),))))[0] == measured

    await store.heads.note_epochs(c, known, measured)
    await store.heads.note_epochs(c, known, Head(3, 3, (Epoch(9, 1),)))
    assert await store.heads.read([c]) == {c: Head(0, 0, measured.epochs)}


async def test_a_head_has_the_epochs_of_the_furthest_revision(store: Store) -> None:
    c = await store.begin("ann")
    term = await store.term()
    await store.heads.commit([HeadMove(c, Head(4, 4, (Epoch(7, 1), Epoch(8, 4))), None)], term)
    await store.heads.commit([HeadMove(c, Head(3, 3, (Epoch(7, 1),)), None)], term)
    assert await store.heads.read([c]) == {c: Head(4, 4, (Epoch(7, 1), Epoch(8, 4)))}

    await store.heads.commit([HeadMove(c, Head(3, 6, (Epoch(7, 1), Epoch(9, 6))), None)], term)
    assert await store.heads.read([c]) == {c: Head(4, 6, (Epoch(7, 1), Epoch(9, 6)))}


async def whole_batch(store: Store, c: str, **more: Any) -> WholeBatch:
    """Return a batch of ann's next message, by what is stored."""
    begun = await store.heads.begin(Names([c], [], [(c, "ann")]))
    was, ann = begun.heads[c], begun.members[c, "ann"]
    sent = replace(message(c, was.seq + 1), rev=was.rev + 1, epoch=7, **more)
    counted = replace(ann, own_seq=sent.seq, own_since_read=ann.own_since_read + 1)
    return WholeBatch(begun.term, [sent], [(ann, counted)], [(was, move(c, was, sent))])


def move(c: str, was: Head, sent: Message) -> HeadMove:
    return HeadMove(c, was.at(sent.seq, sent.rev, sent.epoch), digest(sent))


async def test_a_whole_batch_is_stored_with_its_counters_and_heads(store: Store) -> None:
    c = await store.begin("ann")

    for number in (1, 2):
        batch = await whole_batch(store, c)
        assert await store.whole_batches.store(batch)

        (sent,) = batch.messages
        begun = await store.heads.begin(Names([c], [sent.id], [(c, "ann")]))
        assert begun.heads[c] == Head(number, number, (Epoch(7, 1),))
        assert begun.messages == {sent.id: sent}
        assert begun.members[c, "ann"].own_seq == begun.members[c, "ann"].own_since_read == number
        assert (await store.conversation(c)).last_message == digest(sent)


UNEXPECTED: dict[str, Callable[[WholeBatch, Message], WholeBatch]] = {
    "id": lambda batch, there: _with_message(batch, id=there.id),
    "number": lambda batch, _: _with_message(batch, seq=1),
    "revision": lambda batch, _: _with_message(batch, rev=1),
    "head": lambda batch, _: _with_head(batch, seq=0),
    "revision of the head": lambda batch, _: _with_head(batch, rev=0),
    "epoch of the head": lambda batch, _: _with_head(batch, epochs=(Epoch(8, 1),)),
    "conversation": lambda batch, _: _with_head(batch, "none"),
    "counter": lambda batch, _: _with_counter(batch, own_seq=0),
    "joining": lambda batch, _: _with_counter(batch, join_seq=1),
    "member": lambda batch, _: _with_counter(batch, user_id="bob"),
    "former member": lambda batch, _: _with_counter(batch, user_id="eve"),
}


def _with_message(batch: WholeBatch, **fields: Any) -> WholeBatch:
    return replace(batch, messages=[replace(batch.messages[0], **fields)])


def _with_head(batch: WholeBatch, of: str | None = None, **fields: Any) -> WholeBatch:
    ((was, to),) = batch.moves
    return replace(
        batch, moves=[(replace(was, **fields), replace(to, conversation_id=of or to.conversation_id))]
    )


def _with_counter(batch: WholeBatch, **fields: Any) -> WholeBatch:
    ((was, becomes),) = batch.counters
    return replace(batch, counters=[(replace(was, **fields), replace(becomes, **fields))])


@pytest.mark.parametrize("unexpected", UNEXPECTED)
async def test_nothing_of_a_whole_batch_is_stored_if_anything_is_not_as_expected(
    store: Store, unexpected: str
) -> None:
    c = await store.begin("ann", "eve")
    await store.leave(c, "eve")
    first = await whole_batch(store, c)
    assert await store.whole_batches.store(first)
    batch = await whole_batch(store, c)

    assert not await store.whole_batches.store(UNEXPECTED[unexpected](batch, first.messages[0]))

    begun = await store.heads.begin(Names([c], [batch.messages[0].id], [(c, "ann")]))
    assert begun == Snapshot(batch.term, {c: batch.moves[0][0]}, {}, {(c, "ann"): batch.counters[0][0]})
    assert await store.whole_batches.store(batch)


async def test_nothing_of_a_whole_batch_is_stored_if_its_last_conversation_is_not_as_expected(
    store: Store,
) -> None:
    c, d = await store.begin("ann"), await store.begin("ann")
    of_c, of_d = await whole_batch(store, c), _with_head(await whole_batch(store, d), seq=5)
    both = replace(
        of_c,
        messages=[*of_c.messages, *of_d.messages],
        counters=[*of_c.counters, *of_d.counters],
        moves=[*of_c.moves, *of_d.moves],
    )

    assert not await store.whole_batches.store(both)

    assert await store.messages.find([m.id for m in both.messages]) == {}
    assert await store.whole_batches.store(of_c)


async def test_a_transaction_that_is_too_large_for_one_write_is_not_sent(
    database: Database, primary: PrimaryConnection
) -> None:
    await primary.begin()
    large = [{"_id": 1, "content": "a" * TRANSACTION_BYTES}]

    assert await primary.transaction([({"insert": MESSAGES}, "documents", large)], {"w": 1}) is None

    small = [{"_id": 1, "conversationId": "c"}]
    committed = await primary.transaction([({"insert": MESSAGES}, "documents", small)], {"w": "majority"})
    assert committed is not None
    assert committed["ok"]
    assert await database[MESSAGES].count_documents({"_id": 1}) == 1
