"""Clients that go in the middle of something: what they said is kept, and they are not thought online."""

import asyncio
import json

import aiohttp
import pytest

from clients.chat import NAMESPACE, ChatUsers, Socket, eventually
from clients.raw import RawSocket
from parley.stack import Stack


async def test_what_was_said_just_before_an_engineio_close_is_kept(users: ChatUsers, stack: Stack) -> None:
    (bob,) = await users.sockets("bob")
    group = await users.group(bob, "alice")
    await bob.call_ok("joinRoom", {"conversationId": group})
    raw = await (await RawSocket(stack.url).open()).connect_namespace({"token": users.user("alice").token})

    for content in ("one", "two"):
        said = json.dumps(["sendMessage", {"conversationId": group, "content": content}])
        await raw.send(f"42{NAMESPACE},{said}")
    await raw.send("1")

    await eventually(lambda: [m["content"] for m in bob.messages(group)] == ["one", "two"])
    await raw.wait_until_closed()
    await raw.close()


async def test_a_polling_client_that_goes_while_it_is_let_in_is_not_online(
    users: ChatUsers, stack: Stack
) -> None:
    (bob,) = await users.sockets("bob")
    await users.group(bob, "alice")
    async with aiohttp.ClientSession() as http:
        for _ in range(10):
            await connect_and_close(http, stack.url, users.user("alice").token)

    async def bob_is_alone() -> bool:
        return (await bob.call_ok("getOnlineUsers"))["users"] == [users.user("bob").id]

    await eventually(bob_is_alone, deadline=10)
    # A lease that nobody ended is taken anew every few seconds.
    assert await bob_is_alone()


async def connect_and_close(http: aiohttp.ClientSession, url: str, token: str) -> None:
    address = f"{url}/socket.io/?EIO=4&transport=polling"
    async with http.get(address) as opened:
        sid = json.loads((await opened.text())[1:])["sid"]
    connect = f"40{NAMESPACE},{json.dumps({'token': token})}"

    async def post(body: str) -> None:
        async with http.post(f"{address}&sid={sid}", data=body):
            pass

    await asyncio.gather(post(connect), post("1"))


@pytest.mark.parametrize("others", [0, 1_000])
async def test_who_shares_no_conversation_any_more_hears_no_more_of_each_other(
    others: int, users: ChatUsers
) -> None:
    alice, bob, carol = await users.sockets("alice", "bob", "carol")
    group = await users.group(alice, "bob")
    await users.group(alice, "carol")
    await users.group(bob, "carol")
    await bob.wait_for("conversationCreated", _id=group)
    if others:
        clients = [f"{users.user('extra').id}-{number}" for number in range(others - 1)]
        town_hall = {"type": "group", "participants": [*clients, users.user("bob").id]}
        assert (await users.user("erin").rest("POST", "/chats/conversations", town_hall))[0] == 201
    path = f"/chats/conversations/{group}/participants/{users.user('bob').id}"
    assert (await users.user("alice").rest("DELETE", path))[0] == 200
    await bob.wait_for("participantRemoved", conversationId=group)
    await alice.wait_for("participantRemoved", conversationId=group)
    # Whoever was put out on one gateway may hear until the other has looked, too.
    await bob.call_ok("getOnlineUsers")
    await alice.call_ok("getOnlineUsers")

    def heard(socket: Socket, name: str) -> list[str]:
        return [p["status"] for p in socket.events("userStatusChanged", userId=users.user(name).id)]

    before = heard(bob, "alice")
    await alice.close()
    await carol.wait_for("userStatusChanged", deadline=30, userId=users.user("alice").id, status="offline")
    assert heard(bob, "alice") == before
