"""Those who come to share a conversation see at once who of them is there, and from then on who goes."""

import pytest

from clients.chat import Socket, Town, eventually
from parley.stack import Stack


async def sees(socket: Socket, town: Town, name: str, status: str) -> None:
    await socket.inbound("userStatusChanged", userId=town.user(name).id, status=status)


def seen(socket: Socket, town: Town, name: str) -> list[str]:
    return [p["status"] for p in socket.all("userStatusChanged", userId=town.user(name).id)]


@pytest.fixture
async def alice(town: Town, stack: Stack) -> Socket:
    return await town.user("alice").socket(url=stack.gateway_urls[0])


@pytest.fixture
async def bob(town: Town, stack: Stack) -> Socket:
    return await town.user("bob").socket(url=stack.gateway_urls[1])


async def test_who_begins_a_conversation_sees_that_the_other_is_there_and_is_seen(
    town: Town, alice: Socket, bob: Socket
) -> None:
    await town.group(alice, "bob")

    await sees(alice, town, "bob", "online")
    await sees(bob, town, "alice", "online")


async def test_who_is_added_to_a_group_is_followed_by_those_who_were_there_before(
    town: Town, alice: Socket, bob: Socket
) -> None:
    group = await town.group(alice, "carol")
    path = f"/chats/conversations/{group}/participants"
    assert (await town.user("alice").rest("POST", path, {"participants": [town.user("bob").id]}))[0] == 200

    await sees(alice, town, "bob", "online")
    await sees(bob, town, "alice", "online")
    await bob.close()
    await sees(alice, town, "bob", "offline")
    await town.user("bob").socket()
    await eventually(lambda: seen(alice, town, "bob") == ["online", "offline", "online"])
