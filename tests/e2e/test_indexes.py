"""Queries of a message's path are answered from indexes."""

from collections.abc import AsyncIterator

import pytest

from clients.chat import ChatUsers, User, eventually
from parley.gateway.adapters.mongo.connect_reads import MEMBER
from parley.gateway.adapters.mongo.memberships import NEVER, PRESENT_BY_INDEX
from parley.shared.documents import CONVERSATIONS, MEMBERSHIPS, MESSAGES
from parley.shared.indexes import DELETED, OF_CONVERSATION, TOMBSTONES
from parley.shared.mongo import Database

PROFILE = "system.profile"
ALL_OPERATIONS, NONE = 2, 0


@pytest.fixture
async def profiled(database: Database) -> AsyncIterator[Database]:
    """A database that records each operation."""
    await database.command("profile", ALL_OPERATIONS)
    yield database
    await database.command("profile", NONE)
    await database[PROFILE].drop()


async def test_no_query_of_a_conversation_reads_a_whole_collection(
    profiled: Database, users: ChatUsers
) -> None:
    await _talk(users)

    names = {f"{profiled.name}.{collection}" for collection in (CONVERSATIONS, MEMBERSHIPS, MESSAGES)}
    asked = {"ns": {"$in": sorted(names)}, "planSummary": {"$exists": True}}
    plans = {(o["ns"], o["planSummary"]) async for o in profiled[PROFILE].find(asked)}
    assert {name for name, _ in plans} == names
    assert {(name, plan) for name, plan in plans if "COLLSCAN" in plan} == set()


async def test_deleted_messages_are_counted_by_an_index_alone(database: Database) -> None:
    each = [{"conversationId": name, "seq": {"$gt": 1}, **DELETED} for name in ("a", "b")]
    fields = {"_id": 0, "conversationId": 1, "seq": 1, "senderId": 1}
    cursor = database[MESSAGES].find({"$or": each}, fields, hint=TOMBSTONES)
    plan = str((await cursor.explain())["queryPlanner"]["winningPlan"])
    assert "IXSCAN" in plan
    assert "FETCH" not in plan


async def test_the_conversations_of_a_user_are_found_by_an_index_alone(database: Database) -> None:
    query = {"userId": "ann", "archivedAt": NEVER, **PRESENT_BY_INDEX}
    cursor = database[MEMBERSHIPS].find(query, {"_id": 0, "userId": 1, "conversationId": 1})
    plan = str((await cursor.explain())["queryPlanner"]["winningPlan"])
    assert "IXSCAN" in plan
    assert "FETCH" not in plan


async def test_the_members_of_conversations_are_found_by_an_index_alone(database: Database) -> None:
    query = {"conversationId": {"$in": ["a", "b"]}, **PRESENT_BY_INDEX}
    cursor = database[MEMBERSHIPS].find(query, MEMBER, hint=OF_CONVERSATION, sort=[("conversationId", 1)])
    plan = str((await cursor.explain())["queryPlanner"]["winningPlan"])
    assert "IXSCAN" in plan
    assert "FETCH" not in plan
    assert "SORT" not in plan


async def _talk(users: ChatUsers) -> None:
    """Exchange messages, and read them in all ways."""
    ann, bob = await users.sockets("ann", "bob")
    group = await users.group(ann, "bob")
    for socket in (ann, bob):
        await socket.call_ok("joinRoom", {"conversationId": group})
    message = await ann.send(group, "red apple")
    await eventually(lambda: bob.messages(group))
    await bob.call_ok("markAsRead", {"conversationId": group, "messageId": message["_id"]})
    await ann.call_ok("editMessage", {"messageId": message["_id"], "content": "green apple"})
    await bob.wait_for("messageUpdated")
    await ann.call_ok("sync", {"conversations": {group: 0}})
    for name in ("ann", "bob"):
        await _read(users.user(name), group)


async def _read(user: User, group: str) -> None:
    assert await user.unread(group) == 0
    assert len(await user.history(group)) == 1
    status, page = await user.rest("GET", "/search", q="apple")
    assert status == 200
    assert len(page["messages"]) == 1
