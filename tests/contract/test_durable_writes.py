"""A gateway's write succeeds when a majority of a replica set has it, and not before; no URL changes that."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest
from pymongo import WriteConcern
from pymongo.monitoring import CommandListener, CommandStartedEvent

from clients.chat import eventually
from clients.committed_store import worker_store
from clients.replica_set import ReplicaSet, replica_set
from parley.gateway.adapters.mongo.attachments import MongoAttachments
from parley.gateway.adapters.mongo.contracts import MongoContracts
from parley.gateway.adapters.mongo.conversations import MongoConversations
from parley.gateway.adapters.mongo.gridfs_files import GridFiles
from parley.gateway.adapters.mongo.memberships import MongoMemberships
from parley.gateway.adapters.mongo.messages import MongoMessages
from parley.gateway.adapters.mongo.people import MongoPeople
from parley.gateway.adapters.mongo.revocations import MongoRevocations
from parley.gateway.adapters.mongo.shared_reads import SharedReads
from parley.gateway.background import Background
from parley.gateway.core.errors import Unavailable
from parley.persistence_worker.persist import Persister
from parley.shared import mongo
from parley.shared.documents import CONVERSATIONS, MEMBERSHIPS, MESSAGES, to_document
from parley.shared.events import Event
from parley.shared.migrations import migrate
from parley.shared.model import (
    Attachment,
    Contract,
    Conversation,
    Membership,
    Message,
    Person,
    Revocation,
    direct_key,
    now,
)
from parley.shared.records import NewMessage

WEAKER = [
    "w=1",
    "journal=false",
    "readConcernLevel=local",
    "readPreference=secondaryPreferred",
    "wtimeoutMS=1",
]
ATTEMPT_MILLISECONDS = 500
RETRIES = 3
WRITES = {"insert", "update", "delete"}
PRIMARY = {"mode": "primary"}

Operation = Callable[[], Awaitable[Any]]


@pytest.fixture(scope="module")
async def replicas(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReplicaSet]:
    """A replica set of three, with the indexes that services build."""
    async with replica_set(tmp_path_factory.mktemp("replicas")) as running:
        async with mongo.connect(running.url) as database:
            await migrate(database)
        yield running


@pytest.fixture(params=["the server", "the client"])
async def impatient(request: pytest.FixtureRequest, replicas: ReplicaSet) -> AsyncIterator[Any]:
    """The database, where the server or the client gives up soon to wait for a majority."""
    impatience = {} if request.param == "the server" else {"socketTimeoutMS": ATTEMPT_MILLISECONDS}
    concern = WriteConcern("majority", wtimeout=ATTEMPT_MILLISECONDS, j=True)
    async with mongo.connect(replicas.url, **impatience) as database:
        patient = bool(impatience)
        yield database if patient else database.with_options(write_concern=concern)


def member(conversation_id: str, user_id: str) -> Membership:
    return Membership(conversation_id=conversation_id, user_id=user_id, joined_at=now())


async def operations(database: Any, reads: SharedReads, people: MongoPeople) -> dict[str, Operation]:
    """Prepare one document for each kind of write, and return the writes, each of which can be repeated."""
    conversations, memberships = MongoConversations(database, reads), MongoMemberships(database, reads)
    attachments, revocations = MongoAttachments(database), MongoRevocations(database)
    one, other = str(uuid.uuid4()), str(uuid.uuid4())
    at = now()
    group = Conversation(id=str(uuid.uuid4()), kind="group", created_by=one, created_at=at)
    new = Conversation(id=str(uuid.uuid4()), kind="group", created_by=one, created_at=at)
    key = direct_key(one, other)
    members = [member(group.id, user) for user in (one, "left", "leaving", "member")]
    await conversations.create(group, members)
    await memberships.remove(group.id, "left")
    upload, free = str(uuid.uuid4()), str(uuid.uuid4())
    for attachment_id in (upload, free):
        await attachments.begin(attachment_id, one)
    finished = Attachment(id=free, name="a.txt", size=1, type="text/plain")
    await attachments.finish(finished)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"text"

    return {
        "a new group": lambda: conversations.create(new, [member(new.id, one)]),
        "a new direct conversation": lambda: conversations.create(
            Conversation(id=str(uuid.uuid4()), kind="direct", created_by=one, created_at=at, direct_key=key),
            [member("", one), member("", other)],
        ),
        "a new member": lambda: memberships.add([member(group.id, "new")]),
        "a restored member": lambda: memberships.add([member(group.id, "left")]),
        "a removal": lambda: memberships.remove(group.id, "leaving"),
        "a promotion": lambda: memberships.promote(group.id, "member"),
        "an archive": lambda: memberships.archive(group.id, "member", True),
        "a contract": lambda: MongoContracts(database).put(
            Contract(id=group.id, client_id=one, freelancer_id=other)
        ),
        "a profile": lambda: people.save(Person(id=one, name="Ann")),
        "a first profile": lambda: people.add(Person(id=other, name="Bob")),
        "a revocation": lambda: revocations.put(
            Revocation(id=str(uuid.uuid4()), user_id=one, before=1.0, until=at)
        ),
        "an upload's metadata": lambda: attachments.finish(
            Attachment(id=upload, name="b.txt", size=1, type="text/plain")
        ),
        "a binding": lambda: attachments.bind(free, one, group.id, "binding"),
        "a confirmed binding": lambda: attachments.confirm_binding(free, group.id),
        "a file": lambda: GridFiles(database).write(str(uuid.uuid4()), chunks()),
        "a deleted file": lambda: GridFiles(database).delete(upload),
    }


async def test_a_write_fails_until_a_majority_has_it_however_often_it_is_retried(
    replicas: ReplicaSet, impatient: Any
) -> None:
    reads = SharedReads(impatient, Background().spawn)
    people = MongoPeople(impatient, reads, Background().spawn)
    writes = await operations(impatient, reads, people)
    secondaries = await replicas.pause_replication()
    try:
        succeeded = await asyncio.gather(*(succeeds_in(RETRIES, write) for write in writes.values()))
    finally:
        for secondary in secondaries:
            await secondary.resume_replication()

    assert [name for name, success in zip(writes, succeeded, strict=True) if success] == []
    for write in writes.values():
        await eventually(lambda write=write: succeeds_in(1, write))
    people.close()


async def test_a_gateway_reads_what_a_majority_has(replicas: ReplicaSet) -> None:
    async with mongo.connect(replicas.url) as database:
        reads = SharedReads(database, Background().spawn)
        messages, conversations = MongoMessages(database, reads), MongoConversations(database, reads)
        c = Conversation(id=str(uuid.uuid4()), kind="group", created_by="ann", created_at=now())
        await conversations.create(c, [member(c.id, "ann")])
        at_once = {"write_concern": WriteConcern(1)}
        message = Message(
            id=str(uuid.uuid4()),
            conversation_id=c.id,
            sender_id="ann",
            content="",
            created_at=now(),
            seq=1,
            rev=1,
        )

        async def read() -> list[bool]:
            return [
                await messages.get(message.id) is not None,
                await messages.page(c.id, 10, None, None) != [],
                await messages.changes(c.id, 0, 10) != [],
                (await conversations.get([c.id]))[c.id].rev == 1,
            ]

        secondaries = await replicas.pause_replication()
        try:
            await database.get_collection(MESSAGES, **at_once).insert_one(to_document(message))
            head = {"$set": {"lastSeq": 1, "rev": 1}}
            await database.get_collection(CONVERSATIONS, **at_once).update_one({"_id": c.id}, head)
            found = await read()
        finally:
            for secondary in secondaries:
                await secondary.resume_replication()

        assert not any(found)

        async def read_all() -> bool:
            return all(await read())

        await eventually(read_all)
        reads.close()


class Sent(CommandListener):
    """The reads and writes that the driver has sent."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in {"find", "getMore", "aggregate", *WRITES}:
            self.commands.append({"name": event.command_name, **event.command})

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass


class NoEvents:
    """Publishes nothing."""

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        pass


WEAKENING = pytest.mark.parametrize("weaker", [*WEAKER, "&".join(WEAKER), "w=0"])


@WEAKENING
async def test_no_url_weakens_what_a_worker_asks_of_mongodb(replicas: ReplicaSet, weaker: str) -> None:
    sent = Sent()
    async with worker_store(f"{replicas.url}&{weaker}", sent) as (database, store):
        c = Conversation(id=str(uuid.uuid4()), kind="group", created_by="ann", created_at=now())
        reads = SharedReads(database, Background().spawn)
        await MongoConversations(database, reads).create(c, [member(c.id, "ann")])
        message = Message(
            id=str(uuid.uuid4()), conversation_id=c.id, sender_id="ann", content="", created_at=now()
        )
        sent.commands.clear()
        await Persister(*store, NoEvents()).persist(
            [NewMessage(id=message.id, message=message, sender=Person(id="ann"))]
        )

    writes = [command for command in sent.commands if command["name"] in WRITES]
    targets = [(command["name"], command[command["name"]]) for command in writes]
    assert targets == [("insert", MESSAGES), ("update", MEMBERSHIPS), ("update", CONVERSATIONS)]
    assert [command["writeConcern"] for command in writes[:-1]] == [{"w": 1}] * 2
    commit = writes[-1]["writeConcern"]
    assert (commit["w"], commit["j"]) == ("majority", True)
    assert commit["wtimeout"] > 1_000
    assert not [c for c in sent.commands if c.get("$readPreference", PRIMARY) != PRIMARY]


@WEAKENING
async def test_no_url_weakens_what_a_gateway_asks_of_mongodb(replicas: ReplicaSet, weaker: str) -> None:
    sent = Sent()
    async with mongo.connect(f"{replicas.url}&{weaker}", event_listeners=[sent]) as database:
        reads = SharedReads(database, Background().spawn)
        people = MongoPeople(database, reads, Background().spawn)
        for operation in (await operations(database, reads, people)).values():
            await operation()
        await MongoMessages(database, reads).page("none", 1, None, None)
        people.close()
        reads.close()

    reads = [command for command in sent.commands if command["name"] == "find"]
    writes = [command for command in sent.commands if command["name"] in WRITES]
    assert reads
    assert {command["readConcern"]["level"] for command in reads} == {"majority"}
    assert not [c for c in sent.commands if c.get("$readPreference", PRIMARY) != PRIMARY]
    assert {command["name"] for command in writes} == WRITES
    assert all(command["writeConcern"]["w"] == "majority" for command in writes)
    assert all(command["writeConcern"]["j"] is True for command in writes)
    assert all(command["writeConcern"]["wtimeout"] > 1_000 for command in writes)


async def succeeds_in(attempts: int, write: Operation) -> bool:
    """Return whether one of the attempts at a write succeeds."""
    for _ in range(attempts):
        with suppress(Unavailable):
            await write()
            return True
    return False
