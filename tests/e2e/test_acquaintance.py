"""Users that begin to share a conversation see each other's presence at once, and its changes."""

import pytest
from redis.asyncio import Redis

from clients.chat import ChatUsers, Socket, eventually
from parley.shared import rooms
from parley.shared.events import PresenceChanged, pack
from parley.shared.model import now
from parley.stack import Stack


async def sees(socket: Socket, users: ChatUsers, name: str, status: str) -> None:
    await socket.wait_for("userStatusChanged", userId=users.user(name).id, status=status)


def seen(socket: Socket, users: ChatUsers, name: str) -> list[str]:
    return [p["status"] for p in socket.events("userStatusChanged", userId=users.user(name).id)]


@pytest.fixture
async def alice(users: ChatUsers, stack: Stack) -> Socket:
    return await users.user("alice").socket(url=stack.gateway_urls[0])


@pytest.fixture
async def bob(users: ChatUsers, stack: Stack) -> Socket:
    return await users.user("bob").socket(url=stack.gateway_urls[1])


async def test_both_sides_of_a_new_conversation_see_each_other_online(
    users: ChatUsers, alice: Socket, bob: Socket
) -> None:
    await users.group(alice, "bob")

    await sees(alice, users, "bob", "online")
    await sees(bob, users, "alice", "online")


async def test_earlier_members_see_the_presence_of_an_added_one(
    users: ChatUsers, alice: Socket, bob: Socket
) -> None:
    group = await users.group(alice, "carol")
    path = f"/chats/conversations/{group}/participants"
    assert (await users.user("alice").rest("POST", path, {"participants": [users.user("bob").id]}))[0] == 200

    await sees(alice, users, "bob", "online")
    await sees(bob, users, "alice", "online")
    await bob.close()
    await sees(alice, users, "bob", "offline")
    await users.user("bob").socket()
    await eventually(lambda: seen(alice, users, "bob") == ["online", "offline", "online"])


async def test_a_change_that_an_older_gateway_publishes_is_seen(
    users: ChatUsers, alice: Socket, bob: Socket, stack: Stack
) -> None:
    """Version 0.2.0 publishes on a channel of each user."""
    await users.group(alice, "bob")
    await sees(alice, users, "bob", "online")
    await sees(bob, users, "alice", "online")
    changed = PresenceChanged(user_id=users.user("bob").id, online=False, at=now())
    async with Redis.from_url(stack.redis_url) as redis:
        await redis.publish(rooms.channel(rooms.presence(changed.user_id)), pack([changed]))
    await sees(alice, users, "bob", "offline")
    assert seen(bob, users, "bob") == []
