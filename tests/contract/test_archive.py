"""The archive, which gateways read and write themselves: MongoDB and the fake in memory behave alike."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from clients.committed_store import CommittedMemberships, CommittedMessages
from fakes.memory_archive import (
    MemoryConnectReads,
    MemoryContracts,
    MemoryConversations,
    MemoryHistory,
    MemoryMembers,
    MemoryPeople,
)
from fakes.memory_store import MemoryMessages, Tables
from parley.gateway.adapters.mongo import connect_reads
from parley.gateway.adapters.mongo import memberships as stored_memberships
from parley.gateway.adapters.mongo.connect_reads import MongoConnectReads
from parley.gateway.adapters.mongo.contracts import MongoContracts
from parley.gateway.adapters.mongo.conversations import MongoConversations
from parley.gateway.adapters.mongo.memberships import MongoMemberships
from parley.gateway.adapters.mongo.messages import MongoMessages as MongoHistory
from parley.gateway.adapters.mongo.people import MongoPeople
from parley.gateway.adapters.mongo.shared_reads import SharedReads
from parley.gateway.background import Background
from parley.gateway.core import ports
from parley.gateway.core.pagination import PageRequest
from parley.gateway.core.positions import Position
from parley.gateway.core.spans import Span
from parley.persistence_worker.ports import Messages
from parley.persistence_worker.primary_connection import PrimaryConnection
from parley.shared.documents import MEMBERSHIPS
from parley.shared.migrations import migrate
from parley.shared.model import Contract, Conversation, Epoch, Membership, Message, Person, direct_key, now
from parley.shared.mongo import Database


@dataclass
class Archive:
    conversations: ports.Conversations
    history: ports.Messages
    memberships: ports.Memberships
    changes: ports.MembershipChanges
    people: ports.People
    contracts: ports.Contracts
    written: Messages
    connect_reads: ports.ConnectReads

    async def begin(self, *users: str, **more: Any) -> str:
        """Create a conversation with members, its owner first, and return its id."""
        conversation = Conversation(
            id=str(uuid.uuid4()), **{"kind": "group", "created_by": users[0], "created_at": now(), **more}
        )
        members = [member(conversation.id, u, role="owner" if u == users[0] else "member") for u in users]
        return (await self.conversations.create(conversation, members)).id

    async def send(self, conversation_id: str, count: int) -> list[Message]:
        """Store messages 1 to `count`."""
        messages = [
            Message(
                id=str(uuid.uuid4()),
                conversation_id=conversation_id,
                sender_id="ann",
                content=str(n),
                created_at=now(),
                seq=n,
                rev=n,
            )
            for n in range(1, count + 1)
        ]
        await self.written.insert(messages)
        return messages


def member(conversation_id: str, user: str, **more: Any) -> Membership:
    return Membership(**{"conversation_id": conversation_id, "user_id": user, "joined_at": now(), **more})


@pytest.fixture(params=["memory", "mongodb"])
async def archive(
    request: pytest.FixtureRequest, database: Database, primary: PrimaryConnection, reads: SharedReads
) -> AsyncIterator[Archive]:
    if request.param == "memory":
        tables = Tables()
        members = MemoryMembers(tables)
        yield Archive(
            MemoryConversations(tables),
            MemoryHistory(tables),
            members,
            members,
            MemoryPeople(tables),
            MemoryContracts(tables),
            MemoryMessages(tables),
            MemoryConnectReads(tables),
        )
        return
    await migrate(database)
    stored = MongoMemberships(database, reads)
    connect_reads = MongoConnectReads(database, Background().spawn)
    people = MongoPeople(database, reads, Background().spawn)
    yield Archive(
        MongoConversations(database, reads),
        MongoHistory(database, reads),
        stored,
        stored,
        people,
        MongoContracts(database),
        CommittedMessages(primary),
        connect_reads,
    )
    people.close()
    await connect_reads.close()


async def test_a_direct_conversation_is_begun_once(archive: Archive) -> None:
    one, other = str(uuid.uuid4()), str(uuid.uuid4())
    key = direct_key(one, other)
    first = await archive.begin(one, other, kind="direct", direct_key=key)
    assert await archive.begin(other, one, kind="direct", direct_key=key) == first
    assert {m.user_id for m in await archive.memberships.of_conversation(first, 10)} == {one, other}


async def test_a_conversation_of_one_id_is_created_once_and_only_from_one_request(archive: Archive) -> None:
    wanted = Conversation(
        id=str(uuid.uuid4()), kind="group", created_by="ann", created_at=now(), created_from="this"
    )
    first = [member(wanted.id, "ann"), member(wanted.id, "bob")]
    assert await archive.conversations.create(wanted, first[:1]) == wanted
    later = replace(wanted, created_at=now() + timedelta(seconds=1))
    assert await archive.conversations.create(later, first) == wanted
    other = replace(wanted, created_from="that", title="another")
    assert await archive.conversations.create(other, [member(wanted.id, "cem")]) == wanted
    members = await archive.memberships.of_conversation(wanted.id, 10)
    assert [(m.user_id, m.joined_at) for m in members] == [(u, wanted.created_at) for u in ("ann", "bob")]


async def test_pages_are_by_number_and_changes_by_revision(archive: Archive) -> None:
    c = await archive.begin("ann")
    first, second, third = await archive.send(c, 3)
    assert await archive.history.page(c, 2, None, None) == [second, third]
    assert await archive.history.page(c, 2, 3, None) == [first, second]
    assert await archive.history.page(c, 1, None, 1) == [second]
    assert await archive.history.changes(c, 1, 10) == [second, third]
    assert await archive.history.changes(c, 0, 1) == [first]
    assert await archive.history.get(second.id) == second
    assert await archive.history.get("nothing") is None


async def test_hidden_messages_are_left_out_of_pages(archive: Archive) -> None:
    c = await archive.begin("ann")
    messages = await archive.send(c, 4)
    for before, after in ((None, None), (5, None), (None, 1), (None, 0)):
        assert await archive.history.page(c, 9, before, after, 2) == messages[2:]
    assert await archive.history.page(c, 9, 3, None, 2) == []
    assert await archive.history.page(c, 1, 4, None, 2) == [messages[2]]
    assert await archive.history.page(c, 9, None, 3, 2) == [messages[3]]


async def test_hidden_messages_are_revealed_to_members(archive: Archive) -> None:
    c = await archive.begin("ann", "bob")
    await archive.changes.add([member(c, "cem", hidden_seq=4, join_seq=4)])
    await archive.changes.remove(c, "bob")
    await archive.changes.add([member(c, "bob", hidden_seq=7)])

    async def hidden() -> dict[str, int]:
        return {m.user_id: m.hidden_seq for m in await archive.memberships.of_conversation(c, 9)}

    assert await hidden() == {"ann": 0, "bob": 7, "cem": 4}
    await archive.changes.reveal(c, ["ann", "bob"])
    assert await hidden() == {"ann": 0, "bob": 0, "cem": 4}


async def test_the_latest_removals_are_found(archive: Archive) -> None:
    c = await archive.begin("ann", "bob", "cem")
    for user in ("bob", "cem"):
        await archive.changes.remove(c, user)
    await archive.changes.add([member(c, "cem")])

    async def found(within: float, until: float) -> set[str]:
        removed = await archive.memberships.removed(within, until)
        return {m.user_id for m in removed if m.conversation_id == c}

    assert await found(60, 0) == {"bob"}
    assert await found(120, 60) == set()


async def test_the_latest_members_are_found(archive: Archive) -> None:
    c = await archive.begin("ann", "bob")
    await archive.changes.add([member(c, "cem"), member(c, "dee", joined_at=now() - timedelta(seconds=90))])
    await archive.changes.remove(c, "bob")

    async def found(within: float, until: float) -> set[str]:
        joined = await archive.memberships.joined(within, until)
        return {m.user_id for m in joined if m.conversation_id == c}

    assert await found(60, 0) == {"ann", "cem"}
    assert await found(120, 60) == {"dee"}


async def test_the_profile_of_the_newest_token_is_kept(archive: Archive) -> None:
    person = Person(id=str(uuid.uuid4()), name="Old", first_name="O", avatar="a.png")
    newer = replace(person, name="New", first_name=None)
    assert not (await archive.people.save(person, 10.0)).is_renamed
    assert not (await archive.people.save(replace(person, role="admin"), 11.0)).is_renamed

    saved = await archive.people.save(newer, 20.0)
    assert (saved.person, saved.issued_at, saved.is_renamed) == (newer, 20.0, True)
    saved = await archive.people.save(person, 15.0)
    assert (saved.person, saved.issued_at, saved.is_renamed) == (newer, 20.0, False)
    assert (await archive.people.get([person.id]))[person.id] == newer
    assert (await archive.people.save(replace(newer, avatar=None), 20.0)).is_renamed
    assert (await archive.people.get([person.id]))[person.id].avatar is None


async def test_one_of_several_first_profiles_of_a_user_is_stored(archive: Archive) -> None:
    ann, bob = Person(id=str(uuid.uuid4()), name="Ann"), Person(id=str(uuid.uuid4()), name="Bob")
    await archive.people.save(bob, 10.0)
    added = await asyncio.gather(
        archive.people.add(ann, 10.0),
        archive.people.add(replace(bob, name="Robert"), 20.0),
        archive.people.add(replace(ann, name="Anna"), 20.0),
    )
    assert added[1] is False
    assert sorted([added[0], added[2]]) == [False, True]
    stored = await archive.people.get([ann.id, bob.id])
    assert stored[ann.id].name == ("Ann" if added[0] else "Anna")
    assert stored[bob.id] == bob
    assert (await archive.people.save(ann, 5.0)).person == stored[ann.id]


async def test_a_later_token_with_a_known_profile_outdates_those_before_it(archive: Archive) -> None:
    person = Person(id=str(uuid.uuid4()), name="Ann")
    await archive.people.save(person, 10.0)
    await archive.people.note_tokens({person.id: 20.0, str(uuid.uuid4()): 20.0})
    await archive.people.note_tokens({person.id: 15.0})

    saved = await archive.people.save(replace(person, name="Old"), 16.0)
    assert (saved.person, saved.issued_at) == (person, 20.0)


async def test_a_connecting_user_s_conversations_and_profile_are_found_together(archive: Archive) -> None:
    user = str(uuid.uuid4())
    assert await archive.connect_reads.begin(user) == (set(), None)
    c, d = await archive.begin(user, "bob"), await archive.begin(user, "cem")
    await archive.changes.remove(d, user)
    person = Person(id=user, name="Ann", role="admin", permissions=("read",))
    await archive.people.save(person, 10.0)

    ids, profile = await archive.connect_reads.begin(user)
    assert ids == {c}
    assert profile is not None
    assert (profile.person, profile.issued_at) == (person, 10.0)


@pytest.mark.parametrize("shared_conversations", [100, 0], ids=["few", "many"])
async def test_heads_memberships_and_members_are_found_together(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, shared_conversations: int
) -> None:
    monkeypatch.setattr(connect_reads, "SHARED_CONVERSATIONS", shared_conversations)
    user = str(uuid.uuid4())
    epochs = (Epoch(7, 1), Epoch(8, 3), Epoch(9, 9))
    c = await archive.begin(user, "bob", last_seq=4, rev=5, epochs=epochs)
    d, e = await archive.begin(user, "a:b"), await archive.begin(user, "cem")
    await archive.changes.remove(e, "cem")

    found = await archive.connect_reads.load(user, [c, "nowhere"], [d, e], 10)
    assert found.heads == {c: Position(4, 5, 8)}
    stored = {m.conversation_id: m for m in await archive.memberships.of_users([user])}
    assert {m.conversation_id for m in found.memberships} == {c, d, e}
    for membership in found.memberships:
        whole = stored[membership.conversation_id]
        assert (membership.role, membership.base) == (whole.role, whole.base)
        assert (membership.user_id, membership.joined_at) == (whole.user_id, whole.joined_at)
    pairs = sorted([(d, user), (d, "a:b"), (e, user)])
    assert found.pairs == pairs
    assert await archive.memberships.pairs([d, e], 10) == pairs
    assert (await archive.connect_reads.load(user, [], [d, e], 2)).pairs == pairs[:2]
    assert (await archive.connect_reads.load(user, [], [], 2)).pairs == []

    first, *others = sorted((c, d, e))
    for among, expected in ((Span(None, others[0]), {first}), (Span(others[0]), {*others})):
        found = await archive.connect_reads.load(user, [c], [], 2, among)
        assert ({m.conversation_id for m in found.memberships}, list(found.heads)) == (expected, [c])


@pytest.mark.parametrize("shared_pairs", [2_000, 3], ids=["few members", "more members than one read takes"])
async def test_users_who_connect_at_the_same_time_find_each_their_own(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, shared_pairs: int
) -> None:
    monkeypatch.setattr(connect_reads, "SHARED_PAIRS", shared_pairs)
    ann, bob, cem = (str(uuid.uuid4()) for _ in range(3))
    c, d = await archive.begin(ann, bob, last_seq=1, rev=1), await archive.begin(bob, cem, last_seq=2, rev=2)
    await archive.people.save(Person(id=bob, name="Bob"), 1.0)
    reads = archive.connect_reads

    begun = await asyncio.gather(*map(reads.begin, (ann, bob, cem, "nobody")))
    assert [ids for ids, _ in begun] == [{c}, {c, d}, {d}, set()]
    assert [profile and profile.person.name for _, profile in begun] == [None, "Bob", None, None]

    loaded = await asyncio.gather(
        reads.load(ann, [c], [c], 3), reads.load(bob, [c, d], [d], 1), reads.load(cem, [d], [], 3)
    )
    assert [{c: head.seq for c, head in each.heads.items()} for each in loaded] == [
        {c: 1},
        {c: 1, d: 2},
        {d: 2},
    ]
    assert [{(m.user_id, m.conversation_id) for m in each.memberships} for each in loaded] == [
        {(ann, c)},
        {(bob, c), (bob, d)},
        {(cem, d)},
    ]
    pairs_of_d = sorted([(d, bob), (d, cem)])
    assert [each.pairs for each in loaded] == [sorted([(c, ann), (c, bob)]), pairs_of_d[:1], []]


async def test_members_are_counted_and_paged_by_the_time_of_joining(archive: Archive) -> None:
    c = await archive.begin("ann", "bob")
    later = now() + timedelta(seconds=1)
    await archive.changes.add([member(c, user, joined_at=later) for user in ("dan", "a:b", "cem")])
    await archive.changes.remove(c, "bob")
    everyone, after = [], None
    while page := await archive.memberships.of_conversation(c, 2, after):
        everyone += [m.user_id for m in page]
        after = page[-1].joined_at, page[-1].user_id
    assert everyone == ["ann", "a:b", "cem", "dan"]
    assert await archive.memberships.count(c) == 4


async def test_deleted_messages_are_found_above_a_number(archive: Archive) -> None:
    c, other, untouched = [await archive.begin("ann") for _ in range(3)]
    for conversation_id in (c, other):
        for message in (await archive.send(conversation_id, 4))[1:]:
            gone = replace(message, content="", deleted_at=now(), rev=message.rev + 10)
            assert await archive.written.replace([(gone, message.rev)]) == 1
    await archive.send(untouched, 2)
    found = await archive.history.deleted({c: 2, other: 3, untouched: 0, "none": 0})
    assert found == {c: [(3, "ann"), (4, "ann")], other: [(4, "ann")]}
    at_once = [{c: 2}, {c: 3, untouched: 0}, {other: 4}]
    parts = await asyncio.gather(*map(archive.history.deleted, at_once))
    assert parts == [{c: [(3, "ann"), (4, "ann")]}, {c: [(4, "ann")]}, {}]


async def test_a_member_that_leaves_loses_membership_and_role(archive: Archive) -> None:
    c = await archive.begin("ann", "bob")
    assert await archive.changes.remove(c, "ann")
    assert not await archive.changes.remove(c, "ann")
    assert await archive.memberships.get(c, "ann") is None
    assert [m.user_id for m in await archive.memberships.of_conversation(c, 10)] == ["bob"]
    assert not await archive.changes.promote(c, "ann")
    assert await archive.changes.promote(c, "bob")
    bob = await archive.memberships.get(c, "bob")
    assert bob is not None
    assert bob.role == "owner"


async def test_a_member_promoted_to_owner_is_not_removed_as_a_plain_member(archive: Archive) -> None:
    c = await archive.begin("ann", "bob", "cem")
    assert await archive.changes.promote(c, "bob")

    assert not await archive.changes.remove(c, "bob", unless="owner")
    assert await archive.changes.remove(c, "cem", unless="owner")

    assert {m.user_id for m in await archive.memberships.of_conversation(c, 10)} == {"ann", "bob"}


async def test_the_members_among_given_users_are_found(archive: Archive) -> None:
    c, elsewhere = await archive.begin("ann", "bob"), await archive.begin("ann", "cem")
    await archive.changes.remove(c, "bob")

    assert await archive.memberships.among(c, ["ann", "bob", "cem"]) == {"ann"}
    assert await archive.memberships.among(elsewhere, ["bob", "cem"]) == {"cem"}
    assert await archive.memberships.among(c, []) == set()


async def test_a_returning_member_starts_with_a_fresh_count(archive: Archive) -> None:
    c = await archive.begin("ann", "bob")
    await archive.changes.remove(c, "bob")
    assert await archive.changes.add([member(c, "bob", join_seq=4), member(c, "cem", join_seq=4)]) == [
        "cem",
        "bob",
    ]
    assert await archive.changes.add([member(c, "bob", join_seq=9)]) == []
    bob = await archive.memberships.get(c, "bob")
    assert bob is not None
    assert (bob.join_seq, bob.own_since_read, bob.left_at, bob.role) == (4, 0, None, "member")


async def test_a_member_can_return_while_a_worker_counts(
    database: Database, primary: PrimaryConnection, reads: SharedReads
) -> None:
    await migrate(database)
    c, worker = str(uuid.uuid4()), CommittedMemberships(primary)
    await MongoMemberships(database, reads).add([member(c, "bob")])
    await MongoMemberships(database, reads).remove(c, "bob")
    (left,) = (await worker.read([(c, "bob")])).values()
    counted = replace(left, own_seq=5, own_since_read=1, read_seq=3, delivered_seq=4)
    overtaken = Overtaken(database[MEMBERSHIPS], lambda: worker.save([(left, counted)]))

    assert await MongoMemberships({MEMBERSHIPS: overtaken}, reads).add([member(c, "bob", join_seq=4)]) == [
        "bob"
    ]

    bob = await MongoMemberships(database, reads).get(c, "bob")
    assert bob is not None
    assert (bob.join_seq, bob.own_seq, bob.own_since_read) == (5, 5, 0)
    assert (bob.read_seq, bob.delivered_seq) == (3, 4)


class Overtaken:
    """A collection to which another writer writes just before its first update."""

    def __init__(self, collection: Any, meanwhile: Callable[[], Awaitable[Any]]) -> None:
        self._collection, self._meanwhile = collection, [meanwhile]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    async def update_one(self, *args: Any) -> Any:
        while self._meanwhile:
            await self._meanwhile.pop()()
        return await self._collection.update_one(*args)


async def test_all_conversations_of_users_and_all_members_of_conversations_are_found(
    archive: Archive,
) -> None:
    user = str(uuid.uuid4())
    c, d = await archive.begin(user, "bob"), await archive.begin(user, "cem")
    assert {m.conversation_id for m in await archive.memberships.of_users([user])} == {c, d}
    assert await archive.memberships.conversations_of(user) == {c, d}
    assert await archive.memberships.hidden_of(user) == {c: 0, d: 0}
    await archive.changes.remove(d, user)
    assert await archive.memberships.conversations_of(user) == {c}
    await archive.changes.add([member(d, user)])
    await archive.changes.archive(d, user, True)
    assert await archive.memberships.conversations_of(user) == {c, d}
    assert await archive.memberships.conversations_of(user, archived=False) == {c}
    assert (await archive.memberships.of_user(user, [d, "nowhere"])).keys() == {d}
    assert await archive.memberships.contacts([c, d], 10) == {user, "bob", "cem"}
    assert len(await archive.memberships.contacts([c, d], 2)) == 2


async def test_members_are_listed_in_the_order_in_which_they_joined(archive: Archive) -> None:
    c = await archive.begin("bob")
    await archive.changes.add([member(c, "ann", joined_at=now() + timedelta(seconds=1))])
    assert [m.user_id for m in await archive.memberships.of_conversation(c, 10)] == ["bob", "ann"]
    assert [m.user_id for m in await archive.memberships.of_conversation(c, 1)] == ["bob"]


@pytest.mark.parametrize("many", [2, 1])
async def test_the_first_members_of_several_conversations_are_listed(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(stored_memberships, "SHARED_MEMBERS", many * 3)
    c, d = await archive.begin("bob"), await archive.begin("cem", "dan")
    later = now() + timedelta(seconds=1)
    await archive.changes.add([member(c, user, joined_at=later) for user in ("eve", "ann")])
    await archive.changes.add([member(d, "gone")])
    await archive.changes.remove(d, "gone")
    found = await archive.memberships.first_of([c, d, "nowhere"], 2)
    assert [m.user_id for m in found[c]] == ["bob", "ann"]
    assert {m.user_id for m in found[d]} == {"cem", "dan"}
    assert found["nowhere"] == []
    assert [m.user_id for m in (await archive.memberships.first_of([c], 9))[c]] == ["bob", "ann", "eve"]
    assert await archive.memberships.first_of([], 2) == {}


async def test_conversations_are_listed_by_activity_page_by_page(archive: Archive) -> None:
    at = now()
    ids = [await archive.begin("ann", created_at=at + timedelta(seconds=n)) for n in range(3)]
    first = await archive.conversations.most_recent(ids, PageRequest(2), None)
    assert ([c.id for c in first.items], first.total) == ([ids[2], ids[1]], 3)
    rest = await archive.conversations.most_recent(ids, PageRequest(2, before=first.next_cursor), None)
    assert ([c.id for c in rest.items], rest.next_cursor) == ([ids[0]], None)


async def test_a_conversation_is_archived_and_unarchived(archive: Archive) -> None:
    c = await archive.begin("ann")
    for archived in (True, False):
        assert await archive.changes.archive(c, "ann", archived)
        ann = await archive.memberships.get(c, "ann")
        assert ann is not None
        assert ann.archived is archived
    assert not await archive.changes.archive(c, "nobody", True)


async def test_people_and_contracts_are_found_again(archive: Archive) -> None:
    known, unknown, contract = str(uuid.uuid4()), str(uuid.uuid4()), str(uuid.uuid4())
    await archive.people.save(Person(id=known, name="Known"))
    named = await archive.people.get([known, unknown])
    assert named == {known: Person(id=known, name="Known"), unknown: Person(id=unknown)}
    agreed = Contract(id=contract, client_id=known, freelancer_id=unknown)
    await archive.contracts.put(agreed)
    assert await archive.contracts.get([contract, "nothing"]) == {contract: agreed}
    c = await archive.begin(known, contract_id=contract)
    assert [found.id for found in await archive.conversations.of_contract(contract)] == [c]


async def test_the_furthest_members_of_several_conversations_are_found_at_once(archive: Archive) -> None:
    marks = {"ann": (3, 1), "ben": (2, 3), "cas": (1, 2)}
    many = Conversation(id=str(uuid.uuid4()), kind="group", created_by="ann", created_at=now())
    members = [
        member(many.id, user, read_seq=read, delivered_seq=received)
        for user, (read, received) in marks.items()
    ]
    await archive.conversations.create(many, members)
    one = await archive.begin("dan")

    found = await archive.history.furthest_of({many.id, one, "nowhere"})

    users = {c: tuple([m.user_id for m in some] for some in pair) for c, pair in found.items()}
    assert users == {
        many.id: (["ann", "ben"], ["ben", "cas"]),
        one: (["dan"], ["dan"]),
        "nowhere": ([], []),
    }
    assert await archive.history.furthest_of(set()) == {}
