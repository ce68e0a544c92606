"""A backup is read from one moment of a real MongoDB, and a restore that did not end keeps services away."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import bson
import pytest

from clients.chat import eventually
from clients.database import open_database
from clients.replica_set import Member, ReplicaSet
from parley.cli.backup import archive, loading, restore, running_services, snapshot
from parley.cli.backup.manifest import Manifest
from parley.cli.backup.snapshot import Snapshot
from parley.cli.errors import CommandError
from parley.shared import migrations, mongo
from parley.shared.documents import ATTEMPTS, LAYOUTS, MESSAGES, REVOCATIONS, to_document
from parley.shared.layouts import Layouts
from parley.shared.model import Conversation, Membership, Message, new_id, now
from parley.shared.partitions import Partitions
from parley.shared.restoration import UNFINISHED
from parley.shared.settings import StartupError
from parley.stack import Stack
from parley.stack.ports import free_base

BATCHES = 3_000
"""Documents that one answer of MongoDB does not hold."""


@pytest.fixture
async def own(stack: Stack) -> AsyncIterator[Any]:
    """A database of this test's own."""
    server, _, query = stack.mongo_url.partition("/parley")
    async with open_database(f"{server}/backup_{uuid.uuid4().hex[:8]}{query}") as database:
        await migrations.migrate(database)
        yield database
        await database.client.drop_database(database.name)


async def ids(taken: Snapshot, collection: str) -> list[Any]:
    batches = [batch async for batch in taken.documents(collection)]
    return [bson.decode(document)["_id"] for batch in batches for document in archive.split(batch)]


async def test_a_snapshot_shows_no_later_write(own: Any) -> None:
    padding = "x" * 1_000
    messages = [
        {"_id": n, "conversationId": "c", "seq": n, "rev": n, "text": padding} for n in range(20 * BATCHES)
    ]
    await own[MESSAGES].insert_many(messages[: 19 * BATCHES])
    async with snapshot.take(own) as taken:
        documents = taken.documents(MESSAGES)
        before = await anext(documents)
        await own[MESSAGES].insert_many(messages[19 * BATCHES :])
        await own[MESSAGES].delete_many({"_id": {"$gte": 18 * BATCHES}})
        await own.users.insert_one({"_id": "later"})
        rest = [batch async for batch in documents]
        users = await ids(taken, "users")
    assert sum(map(archive.count, [before, *rest])) == 19 * BATCHES
    assert users == []
    async with snapshot.take(own) as later:
        assert len(await ids(later, MESSAGES)) == 18 * BATCHES
        assert await ids(later, "users") == ["later"]


async def test_a_database_without_parley_is_not_backed_up(own: Any) -> None:
    other = own.client[f"{own.name}_other"]
    with pytest.raises(CommandError, match="holds no data of Parley: correct MONGO_URL"):
        async with snapshot.take(other):
            pass


@pytest.fixture
async def forgetful(tmp_path: Path) -> AsyncIterator[Any]:
    """The database of a server that keeps old states for as short as it can."""
    member = Member(free_base(), tmp_path / "forgetful")
    replicas = ReplicaSet([member])
    try:
        member.start()
        await replicas.initiate()
        await member.admin("setParameter", minSnapshotHistoryWindowInSeconds=0)
        async with open_database(replicas.url) as database:
            await migrations.migrate(database)
            yield database
    finally:
        await member.close()


async def test_a_state_that_mongodb_no_longer_has_is_one_sentence(forgetful: Any) -> None:
    async with snapshot.take(forgetful) as taken:

        async def refusal() -> str:
            await forgetful.users.insert_one({"at": now()})
            try:
                await ids(taken, MESSAGES)
            except CommandError as error:
                return str(error)
            return ""

        reason = await eventually(refusal, 30)
    assert "raise minSnapshotHistoryWindowInSeconds as deploy/BACKUP.md says" in reason


async def test_a_service_does_not_start_before_a_restore_has_ended(own: Any) -> None:
    mark = loading.Mark(own)
    await mark.set({"_id": UNFINISHED, "backup": "monday.tar.gz", "at": now()})
    with pytest.raises(
        StartupError, match=r"being restored from monday\.tar\.gz since .*repeat it with --replace"
    ):
        await migrations.prepare(own, asyncio.Event())
    await mark.remove()
    await migrations.prepare(own, asyncio.Event())


async def test_revocations_of_after_the_backup_stay_and_counted_attempts_do_not(own: Any) -> None:
    await own[REVOCATIONS].insert_many([{"_id": "count", "count": 2}, {"_id": "after the backup"}])
    await own[ATTEMPTS].insert_one({"_id": "a record", "count": 3})
    await own[MESSAGES].insert_one({"_id": "lost", "conversationId": "c", "seq": 1, "rev": 1})
    await loading.clear(own)
    await loading._insert(
        own[REVOCATIONS], b"".join(map(bson.encode, [{"_id": "count", "count": 1}, {"_id": "before"}]))
    )
    kept = {each["_id"]: each.get("count") async for each in own[REVOCATIONS].find()}
    assert kept == {"count": 2, "after the backup": None, "before": None}
    assert await own[ATTEMPTS].count_documents({}) == await own[MESSAGES].count_documents({}) == 0


async def test_a_system_that_has_started_keeps_its_number_of_partitions_when_it_is_restored(own: Any) -> None:
    layouts = Layouts(own)
    await layouts.create(8)
    of_another_broker = bson.encode(await own[LAYOUTS].find_one())
    await own[LAYOUTS].drop()
    await layouts.create(2)

    await loading.clear(own)
    await loading._insert(own[LAYOUTS], of_another_broker)

    layout = await layouts.read()
    assert layout is not None
    assert layout.current == Partitions(2)


async def test_a_batch_that_the_backup_shows_half_done_is_completed(own: Any) -> None:
    conversation = Conversation(
        id=new_id(), kind="group", created_by="a", created_at=now(), last_seq=3, rev=3
    )
    await own.conversations.insert_one(to_document(conversation))
    for user in ("a", "b"):
        member = Membership(conversation_id=conversation.id, user_id=user, joined_at=now(), own_seq=3)
        await own.memberships.insert_one(to_document(member))
    messages = [
        Message(
            id=new_id(), conversation_id=conversation.id, sender_id="b", content="x", created_at=now(),
            seq=seq, rev=seq,
        )
        for seq in range(1, 6)
    ]  # fmt: skip
    await own[MESSAGES].insert_many([to_document(message) for message in messages])
    contents = Manifest(
        parley="0.5.0", mongodb="6.0.5", database=own.name, taken_at=now(), cluster_time=(1, 1),
        attachments="gridfs", parts=(),
    )  # fmt: skip
    restored = await restore._recount(own, contents)
    assert (restored.wrong, restored.repaired) == (0, 2)
    head = await own.conversations.find_one({})
    assert (head["lastSeq"], head["rev"], head["lastMessage"]["seq"]) == (5, 5, 5)
    assert await restore._recount(own, contents) == restore.Restored()


async def test_a_service_is_found_by_its_connection_to_the_database(own: Any, stack: Stack) -> None:
    server, _, query = stack.mongo_url.partition("/parley")
    url = f"{server}/{own.name}{query}"
    assert await running_services.find(url, own) == []
    async with mongo.connect(url, service="gateway g7") as database:
        assert await mongo.answers(database)
        assert await running_services.find(url, own) == ["gateway g7"]
    services = {"gateway g1", "gateway g2", "worker w1", "worker w2"}
    assert services <= set(await running_services.find(stack.mongo_url, own))
