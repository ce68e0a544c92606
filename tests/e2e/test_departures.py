"""Clients that vanish abruptly: their messages are stored, and they do not stay online."""

import asyncio
import json

import aiohttp
import pytest

from clients.chat import NAMESPACE, ChatUsers, Socket, eventually
from clients.raw import RawSocket
from parley.stack import Stack


async def test_a_message_sent_just_before_an_engineio_close_is_stored(users: ChatUsers, stack: Stack) -> None:
    (bob,) = await users.sockets("bob")
    group = await users.group(bob, "alice")
    await bob.call_ok("joinRoom", {"conversationId": group})
    raw = await (await RawSocket(stack.url).open()).connect_namespace({"token": users.user("alice").token})

    for content in ("one", "two"):
        packet = json.dumps(["sendMessage", {"conversationId": group, "content": content}])
        await raw.send(f"42{NAMESPACE},{packet}")
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
    # A lease that is not ended is renewed every few seconds.
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
async def test_users_without_a_common_conversation_get_no_presence_of_each_other(
    others: int, users: ChatUsers
) -> None:
    alice, bob, carol = await users.sockets("alice", "bob", "carol")
    group = await users.group(alice, "bob")
    await users.group(alice, "carol")
    await users.group(bob, "carol")
    await bob.wait_for("conversationCreated", _id=group)
    if others:
        clients = [f"{users.user('extra').id}-{number}" for number in range(others - 1)]
        big_group = {"type": "group", "participants": [*clients, users.user("bob").id]}
        assert (await users.user("erin").rest("POST", "/chats/conversations", big_group))[0] == 201
    path = f"/chats/conversations/{group}/participants/{users.user('bob').id}"
    assert (await users.user("alice").rest("DELETE", path))[0] == 200
    await bob.wait_for("participantRemoved", conversationId=group)
    await alice.wait_for("participantRemoved", conversationId=group)
    # A removal takes effect on each gateway by itself, so both must have processed it.
    await bob.call_ok("getOnlineUsers")
    await alice.call_ok("getOnlineUsers")

    def statuses(socket: Socket, name: str) -> list[str]:
        return [p["status"] for p in socket.events("userStatusChanged", userId=users.user(name).id)]

    before = statuses(bob, "alice")
    await alice.close()
    await carol.wait_for("userStatusChanged", deadline=30, userId=users.user("alice").id, status="offline")
    assert statuses(bob, "alice") == before
