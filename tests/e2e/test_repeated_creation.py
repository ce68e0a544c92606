"""A group that is created again under the same name of its client is one group."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest

from clients.baseline import refusal
from clients.chat import ChatUsers, User
from parley.shared import redis, rooms
from parley.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet")

CONVERSATIONS = "/chats/conversations"
LAST = "parley:last-of-this-test"


def group_of(users: ChatUsers, *names: str, **more: Any) -> dict[str, Any]:
    return {"type": "group", "name": "us", "participants": [users.user(n).id for n in names], **more}


async def post(url: str, user: User, body: dict[str, Any], key: str) -> tuple[int, Any]:
    """Create a conversation by REST, named by the header."""
    headers = {"Authorization": f"Bearer {user.token}", "Idempotency-Key": key}
    async with (
        aiohttp.ClientSession(url, headers=headers) as http,
        http.post(CONVERSATIONS, json=body) as answer,
    ):
        return answer.status, await answer.json()


async def test_concurrent_creations_by_both_gateways_make_one_group(users: ChatUsers, stack: Stack) -> None:
    user = users.user("alice")
    sockets = [await user.socket(url=url) for url in stack.gateway_urls]
    body = group_of(users, "bob", "carol", clientConversationId=str(uuid.uuid4()))

    answers = await asyncio.gather(
        *(s.call_ok("createConversation", body) for s in sockets for _ in range(4))
    )

    assert len({a["conversation"]["_id"] for a in answers}) == 1
    assert {len(a["conversation"]["participants"]) for a in answers} == {3}
    _, listed = await users.user("bob").rest("GET", CONVERSATIONS)
    assert len(listed["conversations"]) == 1


async def test_socket_rest_and_header_name_the_same_group(users: ChatUsers, stack: Stack) -> None:
    user, key = users.user("alice"), str(uuid.uuid4())
    body = group_of(users, "bob")
    first = await (await user.socket()).call_ok("createConversation", {**body, "clientConversationId": key})
    again = {first["conversation"]["_id"]}

    status, by_body = await user.rest("POST", CONVERSATIONS, {**body, "clientConversationId": key.upper()})
    assert status == 201
    again.add(by_body["_id"])
    for header in (key, f'"{key}"'):
        status, by_header = await post(stack.url, user, body, header)
        assert status == 201
        again.add(by_header["_id"])

    assert len(again) == 1
    _, of_bob = await post(stack.url, users.user("bob"), group_of(users, "alice"), key)
    assert of_bob["_id"] not in again


async def test_a_key_that_is_no_uuid_names_one_group_too(users: ChatUsers, stack: Stack) -> None:
    user, body = users.user("alice"), group_of(users, "bob")
    answers = [await post(stack.url, user, body, key) for key in ("order 7", "order 7", "order 8")]
    first, second, third = (created["_id"] for _, created in answers)
    assert (first == second, first == third) == (True, False)
    status, refused = await post(stack.url, user, body, "x" * 256)
    assert status == 400
    refusal(refused, "INVALID")


async def test_another_request_by_the_same_name_is_a_conflict(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    named = {"clientConversationId": str(uuid.uuid4())}
    created = await alice.call_ok("createConversation", group_of(users, "bob", "carol", **named))

    for other in (
        group_of(users, "bob", **named),
        group_of(users, "bob", "dave", **named),
        {**group_of(users, "bob", "carol", **named), "name": "them"},
    ):
        refusal(await alice.call("createConversation", other), "CONFLICT")

    swapped = await alice.call_ok("createConversation", group_of(users, "carol", "bob", **named))
    assert swapped["conversation"]["_id"] == created["conversation"]["_id"]
    _, listed = await users.user("dave").rest("GET", CONVERSATIONS)
    assert listed["conversations"] == []


async def test_a_repeated_creation_brings_nobody_back(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    body = group_of(users, "bob", "carol", clientConversationId=str(uuid.uuid4()))
    group = (await alice.call_ok("createConversation", body))["conversation"]["_id"]
    status, _ = await users.user("bob").rest("POST", f"{CONVERSATIONS}/{group}/leave")
    assert status == 200

    again = await alice.call_ok("createConversation", body)
    assert {p["_id"] for p in again["conversation"]["participants"]} == {
        users.user(name).id for name in ("alice", "carol")
    }
    status, _ = await users.user("alice").rest("POST", f"{CONVERSATIONS}/{group}/leave")
    assert status == 200
    refusal(await alice.call("createConversation", body), "NOT_FOUND")


async def test_a_repeated_creation_publishes_to_the_users_that_it_names_only(
    users: ChatUsers, stack: Stack
) -> None:
    (alice,) = await users.sockets("alice")
    body = group_of(users, "bob", clientConversationId=str(uuid.uuid4()))
    group = (await alice.call_ok("createConversation", body))["conversation"]["_id"]
    added = [f"{users.user('carol').id}-{number}" for number in range(100)]
    path = f"{CONVERSATIONS}/{group}/participants"
    status, _ = await users.user("alice").rest("POST", path, {"participants": added})
    assert status == 200

    members = {rooms.channel(rooms.user(u)) for u in (*body["participants"], users.user("alice").id, *added)}
    async with aclosing(redis.connect(stack.redis_url)) as bus, bus.pubsub() as subscriber:
        await subscriber.subscribe(*members, LAST)
        await alice.call_ok("createConversation", body)
        await bus.publish(LAST, b"")
        notified = [channel async for channel in _published(subscriber)]

    assert sorted(notified) == sorted(
        rooms.channel(rooms.user(users.user(name).id)) for name in ("alice", "bob")
    )


async def _published(subscriber: Any) -> AsyncIterator[str]:
    """Yield the channels of all publications up to the last one."""
    async for message in subscriber.listen():
        channel = message["channel"].decode()
        if message["type"] == "message" and channel == LAST:
            return
        if message["type"] == "message":
            yield channel


async def test_a_name_does_not_make_two_direct_conversations(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    named = {"clientConversationId": str(uuid.uuid4())}
    found = set()
    for other in ("bob", "carol", "bob"):
        body = {"type": "direct", "participants": [users.user(other).id], **named}
        found.add((await alice.call_ok("createConversation", body))["conversation"]["_id"])
    assert len(found) == 2


async def test_an_idempotency_key_names_a_message_too(users: ChatUsers, stack: Stack) -> None:
    user = users.user("alice")
    group = await users.group(await user.socket(), "bob")
    headers = {"Authorization": f"Bearer {user.token}", "Idempotency-Key": "message 1"}
    async with aiohttp.ClientSession(stack.url, headers=headers) as http:
        for _ in range(2):
            async with http.post("/chat-messages", json={"chatId": group, "content": "hello"}) as answer:
                assert answer.status == 201, await answer.text()
    assert len(await user.history(group)) == 1
