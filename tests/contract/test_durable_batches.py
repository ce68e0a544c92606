"""A worker announces what a majority of a replica set holds, and nothing else."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.binary import UUID_SUBTYPE
from msgspec.structs import replace
from pymongo import WriteConcern
from pymongo.errors import PyMongoError
from pymongo.monitoring import CommandListener, CommandStartedEvent

from clients.chat import eventually
from clients.replica_set import Member, ReplicaSet, replica_set
from parley.persistence_worker.persist import Persister
from parley.persistence_worker.ports import (
    HeadMove,
    Heads,
    MemberKey,
    Memberships,
    Messages,
    Names,
    Snapshot,
    StoreUnavailable,
    Term,
)
from parley.persistence_worker.primary_connection import PrimaryConnection
from parley.persistence_worker.store_mongo import MongoHeads, MongoMemberships, MongoMessages
from parley.persistence_worker.whole_batches_mongo import MongoWholeBatches
from parley.shared import mongo
from parley.shared.documents import CONVERSATIONS, MEMBERSHIPS, MESSAGES, to_document
from parley.shared.events import Event, MessageRepeated, MessageStored
from parley.shared.migrations import migrate
from parley.shared.model import Conversation, Membership, Message, Person, now
from parley.shared.mongo_socket import encode, open_socket
from parley.shared.records import NewMessage, Record

TIMEOUT_MILLISECONDS = 500
CONNECTIONS: list[PrimaryConnection] = []
"""The connections of the workers of a test."""
KILLS = 150
LOCKED_SECONDS = 20.0
"""The lifetime of a transaction on the servers of a stack, 5 s, and the server's time to notice it."""
ATTEMPTS = 8
"""More than the writes of a batch: each attempt of a batch can complete one more of them."""


class Announced:
    """The events that a worker has published."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        for events in events_by_room.values():
            self.events += events

    @property
    def stored(self) -> list[tuple[str, int]]:
        return [(e.message.id, e.message.seq) for e in self.events if isinstance(e, MessageStored)]


class Worker:
    """Persists batches as a worker does: again and again, until the database takes them.

    With `at_once` it stores batches by what it knows, if it can; otherwise each is that of a new worker.
    """

    def __init__(self, database: Any, *, at_once: bool = False) -> None:
        self.announced = Announced()
        self.failures = 0
        primary = PrimaryConnection(database)
        CONNECTIONS.append(primary)
        self.messages: Messages = MongoMessages(primary)
        self.heads: Heads = MongoHeads(primary)
        self.memberships: Memberships = MongoMemberships(primary)
        stores = (self.messages, self.heads, self.memberships, self.announced)
        self._at_once = Persister(*stores, MongoWholeBatches(primary)) if at_once else None

    async def persist(self, records: Sequence[Record]) -> None:
        persister = self._at_once or Persister(self.messages, self.heads, self.memberships, self.announced)
        again = False
        while True:
            try:
                return await persister.persist(records, redelivered=again)
            except StoreUnavailable:
                self.failures += 1
                again = True
                await asyncio.sleep(0.05)


@pytest.fixture
async def replicas(tmp_path: Path) -> AsyncIterator[ReplicaSet]:
    """A replica set of three that is this test's own."""
    async with replica_set(tmp_path) as running:
        yield running


@pytest.fixture
async def replicated(replicas: ReplicaSet) -> AsyncIterator[Any]:
    """Its database, as a worker connects to it, but with shorter time-outs."""
    async with mongo.connect(replicas.url) as database:
        await migrate(database)
    async with mongo.connect(
        replicas.url, socketTimeoutMS=TIMEOUT_MILLISECONDS, retryReads=False, retryWrites=False
    ) as database:
        yield database
        while CONNECTIONS:
            CONNECTIONS.pop().close()


async def begin(database: Any) -> str:
    """Create a conversation whose only member is ann. Returns its id."""
    conversation = Conversation(id=str(uuid.uuid4()), kind="group", created_by="ann", created_at=now())
    await database[CONVERSATIONS].insert_one(to_document(conversation))
    member = Membership(conversation_id=conversation.id, user_id="ann", joined_at=now())
    await database[MEMBERSHIPS].insert_one(to_document(member))
    return conversation.id


def send(conversation_id: str, content: str) -> NewMessage:
    message = Message(
        id=str(uuid.uuid4()),
        conversation_id=conversation_id,
        sender_id="ann",
        content=content,
        client_message_id=str(uuid.uuid4()),
        created_at=now(),
    )
    return NewMessage(id=str(uuid.uuid4()), message=message, sender=Person(id="ann"))


async def numbers(database: Any, conversation_id: str) -> list[tuple[str, int]]:
    found = await database[MESSAGES].find({"conversationId": conversation_id}).sort("seq", 1).to_list(None)
    return [(document["_id"], document["seq"]) for document in found]


async def test_a_message_that_only_a_lost_primary_held_was_never_announced(
    replicas: ReplicaSet, replicated: Any
) -> None:
    c, worker = await begin(replicated), Worker(replicated)
    primary = await replicas.primary()
    secondaries = await replicas.pause_replication()
    first, second = send(c, "first"), send(c, "second")

    storing = asyncio.create_task(worker.persist([first]))
    await eventually(lambda: storing.done() or worker.failures >= ATTEMPTS)
    announced_too_early = worker.announced.stored
    primary.kill()
    for member in secondaries:
        await member.resume_replication()
    await asyncio.wait_for(storing, 20)
    await worker.persist([second])

    assert announced_too_early == []
    assert worker.announced.stored == [(first.message.id, 1), (second.message.id, 2)]
    assert await numbers(replicated, c) == worker.announced.stored


class Interrupted:
    """Heads that do something else once, when a batch begins with a message that is stored."""

    def __init__(self, heads: Heads, interrupt: Callable[[], Awaitable[None]]) -> None:
        self._heads = heads
        self._interrupts = [interrupt]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._heads, name)

    async def begin(self, names: Names) -> Snapshot:
        begun = await self._heads.begin(names)
        while begun.messages and self._interrupts:
            await self._interrupts.pop()()
        return begun


@pytest.mark.parametrize("renumbered", [False, True])
async def test_a_message_that_a_lost_primary_returned_is_stored_anew(
    replicas: ReplicaSet, replicated: Any, renumbered: bool
) -> None:
    c, worker = await begin(replicated), Worker(replicated)
    primary = await replicas.primary()
    secondaries = await replicas.pause_replication()
    lost, second = send(c, "lost"), send(c, "second")

    async def lose_the_primary() -> None:
        primary.kill()
        for member in secondaries:
            await member.resume_replication()
        await eventually(lambda: _is_reachable(replicated))

    worker.heads = Interrupted(worker.heads, lose_the_primary)
    batch = [lost, send(c, "beside")] if renumbered else [lost]
    await asyncio.wait_for(worker.persist(batch), 20)
    await worker.persist([second])

    stored = [(record.message.id, number) for number, record in enumerate([*batch, second], 1)]
    assert worker.failures > 1
    assert worker.announced.stored == stored
    assert await numbers(replicated, c) == stored


class BeforeSaving:
    """Memberships that do something else once, before they are saved."""

    def __init__(self, memberships: Memberships, interrupt: Callable[[], Awaitable[None]]) -> None:
        self._memberships = memberships
        self._interrupts = [interrupt]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memberships, name)

    async def save(self, changes: Sequence[tuple[Membership, Membership]]) -> list[MemberKey]:
        while self._interrupts:
            await self._interrupts.pop()()
        return await self._memberships.save(changes)


class BeforeCommitting(Interrupted):
    """Heads that do something else once, before they are committed."""

    async def begin(self, names: Names) -> Snapshot:
        return await self._heads.begin(names)

    async def commit(self, moves: Sequence[HeadMove], term: Term) -> None:
        while self._interrupts:
            await self._interrupts.pop()()
        await self._heads.commit(moves, term)


@pytest.mark.parametrize("between", ["insert and counters", "counters and heads"])
@pytest.mark.parametrize(
    "comes_back",
    [
        pytest.param(False, id="another primary"),
        pytest.param(True, id="the same primary again", marks=pytest.mark.slow),
    ],
)
async def test_a_primary_that_loses_a_batch_amid_its_writes_leaves_no_trace_of_it(
    replicas: ReplicaSet, replicated: Any, between: str, comes_back: bool
) -> None:
    c, worker = await begin(replicated), Worker(replicated)
    await worker.persist([send(c, "before")])
    primary = await replicas.primary()
    secondaries = await replicas.pause_replication()
    lost, second = [send(c, "lost"), send(c, "beside")], send(c, "second")
    seen: list[Any] = []

    async def replace_the_primary() -> None:
        primary.freeze()
        for member in secondaries:
            await member.resume_replication()
        await eventually(lambda: _one_is_writable(secondaries), 30)
        primary.thaw()
        if comes_back:
            # It has the highest priority. First it rolls back what the others do not have.
            await eventually(primary.is_writable, 60)
        await eventually(lambda: _is_reachable(replicated), 30)
        seen.extend(await numbers(replicated, c))
        head = await replicated[CONVERSATIONS].find_one({"_id": c})
        seen.append(head["lastSeq"])

    if between == "insert and counters":
        worker.memberships = BeforeSaving(worker.memberships, replace_the_primary)
    else:
        worker.heads = BeforeCommitting(worker.heads, replace_the_primary)
    await asyncio.wait_for(worker.persist(lost), 120)
    await worker.persist([second])

    before = worker.announced.stored[0]
    assert seen == [before, 1]
    assert worker.failures
    stored = [before, *((record.message.id, number) for number, record in enumerate([*lost, second], 2))]
    assert worker.announced.stored == stored
    assert await numbers(replicated, c) == stored
    head = await replicated[CONVERSATIONS].find_one({"_id": c})
    member = await replicated[MEMBERSHIPS].find_one({"conversationId": c})
    assert (head["lastSeq"], head["rev"]) == (4, 4)
    assert (member["ownSeq"], member["ownSinceRead"]) == (4, 4)


async def _one_is_writable(members: Sequence[Member]) -> bool:
    return any([await member.is_writable() for member in members])


async def test_a_batch_with_nothing_to_write_waits_for_all_earlier_writes(
    replicas: ReplicaSet, replicated: Any
) -> None:
    c, worker = await begin(replicated), Worker(replicated)
    first = send(c, "first")
    await worker.persist([first])
    secondaries = await replicas.pause_replication()
    await replicated.get_collection(CONVERSATIONS, write_concern=WriteConcern(1)).update_one(
        {"_id": c}, {"$set": {"title": "of another writer"}}
    )

    again = asyncio.create_task(worker.persist([first, replace(first, id="again")]))
    await eventually(lambda: again.done() or worker.failures >= 2)
    announced_too_early = worker.announced.events[1:]
    for member in secondaries:
        await member.resume_replication()
    await asyncio.wait_for(again, 20)

    assert announced_too_early == []
    assert {number for _, number in worker.announced.stored} == {1}
    repeated = [e.message.seq for e in worker.announced.events if isinstance(e, MessageRepeated)]
    assert repeated == [1, 1]


async def _is_reachable(database: Any) -> bool:
    try:
        return bool((await database.command("hello"))["isWritablePrimary"])
    except PyMongoError:
        return False


@pytest.mark.parametrize("at_once", [False, True])
async def test_batches_are_stored_once_and_in_order_through_elections(
    replicas: ReplicaSet, replicated: Any, at_once: bool
) -> None:
    c, worker = await begin(replicated), Worker(replicated, at_once=at_once)
    sent: list[NewMessage] = []

    async def go_on(stop: asyncio.Event) -> None:
        while not stop.is_set():
            batch = [send(c, "one"), send(c, "two"), send(c, "three")]
            sent.extend(batch)
            await worker.persist(batch)

    stop = asyncio.Event()
    storing = asyncio.create_task(go_on(stop))
    await eventually(lambda: worker.announced.stored)
    for _ in range(2):
        stored = len(worker.announced.stored)
        primary = await replicas.primary()
        await primary.step_down()
        await eventually(lambda stored=stored: len(worker.announced.stored) > stored + 10, 30)
    stop.set()
    await asyncio.wait_for(storing, 20)

    expected = [(record.message.id, number) for number, record in enumerate(sent, 1)]
    assert await numbers(replicated, c) == expected
    assert list(dict.fromkeys(worker.announced.stored)) == expected
    head = await replicated[CONVERSATIONS].find_one({"_id": c})
    member = await replicated[MEMBERSHIPS].find_one({"conversationId": c})
    assert (head["lastSeq"], head["rev"]) == (len(sent), len(sent))
    assert (member["ownSeq"], member["ownSinceRead"]) == (len(sent), len(sent))
    assert len(head["epochs"]) >= 3


async def test_a_whole_batch_that_only_a_lost_primary_held_was_never_announced(
    replicas: ReplicaSet, replicated: Any
) -> None:
    c, worker = await begin(replicated), Worker(replicated, at_once=True)
    first, lost, third = send(c, "first"), send(c, "lost"), send(c, "third")
    await worker.persist([first])
    primary = await replicas.primary()
    secondaries = await replicas.pause_replication()

    storing = asyncio.create_task(worker.persist([lost]))
    await eventually(lambda: storing.done() or worker.failures >= ATTEMPTS)
    announced_too_early = worker.announced.stored
    primary.kill()
    for member in secondaries:
        await member.resume_replication()
    await asyncio.wait_for(storing, 20)
    await worker.persist([third])

    assert announced_too_early == [(first.message.id, 1)]
    assert worker.announced.stored == [
        (record.message.id, seq) for seq, record in enumerate([first, lost, third], 1)
    ]
    assert await numbers(replicated, c) == worker.announced.stored


async def test_a_worker_reads_nothing_for_a_batch_where_all_is_as_it_has_left_it(
    replicas: ReplicaSet,
) -> None:
    commands = CommandNames()
    async with mongo.connect(replicas.url, event_listeners=[commands]) as database:
        await migrate(database)
        c, worker = await begin(database), Worker(database, at_once=True)
        await worker.persist([send(c, "first")])
        assert await last_stored_at(database, c) == await stored_at(database, c, 1)
        commands.names.clear()

        await worker.persist([send(c, "second"), send(c, "third")])
        asked = [*commands.names]
        assert await last_stored_at(database, c) == await stored_at(database, c, 3)
        await database[MEMBERSHIPS].update_one({"conversationId": c}, {"$set": {"joinSeq": 3}})
        await worker.persist([send(c, "fourth")])

        assert asked == ["commitTransaction"]
        assert [seq for _, seq in worker.announced.stored] == [1, 2, 3, 4]
        member = await database[MEMBERSHIPS].find_one({"conversationId": c})
        assert (member["ownSeq"], member["ownSinceRead"]) == (4, 4)
        CONNECTIONS.pop().close()


async def last_stored_at(database: Any, conversation_id: str) -> datetime:
    """Return when the last message was stored, as the head tells it."""
    head = await database[CONVERSATIONS].find_one({"_id": conversation_id})
    at: datetime = head["lastMessage"]["storedAt"]
    return at


async def stored_at(database: Any, conversation_id: str, seq: int) -> datetime:
    message = await database[MESSAGES].find_one({"conversationId": conversation_id, "seq": seq})
    at: datetime = message["storedAt"]
    return at


class CommandNames(CommandListener):
    """Records the names of commands."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass


async def test_a_worker_that_is_killed_amid_a_transaction_leaves_nothing_locked(replicated: Any) -> None:
    await replicated.create_collection("kills")
    concern = replicated.write_concern.document
    for attempt in range(KILLS):
        primary = PrimaryConnection(replicated)
        await primary.begin()
        batch = [{"_id": f"{attempt}-{number}"} for number in range(15)]
        sent = asyncio.create_task(
            primary.transaction(
                [
                    ({"insert": "kills"}, "documents", batch[:5]),
                    ({"insert": "kills"}, "documents", batch[5:]),
                ],
                concern,
            )
        )
        await asyncio.sleep(0)
        # As a killed worker, it reads no answers. It ends at another moment each time.
        time.sleep(attempt * 1e-5)  # noqa: ASYNC251
        primary.close()
        await asyncio.gather(sent, return_exceptions=True)

    async def nothing_is_open() -> bool:
        status = await replicated.client.admin.command("serverStatus")
        return bool(status["transactions"]["currentOpen"] == 0)

    await eventually(nothing_is_open)


async def test_a_worker_that_is_lost_amid_a_transaction_locks_its_documents_for_seconds(
    database: Any,
) -> None:
    conversation_id, worker = await begin(database), Worker(database, at_once=True)
    record = send(conversation_id, "one")
    lost = await open_socket(database)
    # The machine is gone, and nobody closes its connection: the server waits for the rest of the transaction.
    session = {"id": bson.Binary(uuid.uuid4().bytes, UUID_SUBTYPE)}
    part = {"lsid": session, "txnNumber": bson.Int64(1), "startTransaction": True, "autocommit": False}
    update = {"q": {"_id": conversation_id}, "u": {"$set": {"title": "half a batch"}}}
    with closing(lost), closing(CONNECTIONS.pop()):
        command = {"update": CONVERSATIONS, "$db": database.name, **part}
        answer = bson.decode(await lost.ask(encode(command, "updates", [update])))
        assert (answer["ok"], answer["n"]) == (1.0, 1)

        async with asyncio.timeout(LOCKED_SECONDS):
            await worker.persist([record])
    assert await numbers(database, conversation_id) == [(record.message.id, 1)]
    stored = await database[CONVERSATIONS].find_one({"_id": conversation_id})
    assert stored["title"] != "half a batch"
