"""A removal that the bus has lost ends reading within 2 s."""

import time

import pytest

from clients.baseline import refusal
from clients.chat import ChatUsers
from parley.shared.mongo import Database
from parley.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet")

SECONDS = 2.0


async def test_a_removal_without_an_event_ends_reading_in_time(
    users: ChatUsers, stack: Stack, database: Database
) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group, other = await users.group(alice, "bob"), await users.group(alice, "bob")
    both = [bob, *[await users.user("bob").socket(url=url) for url in stack.gateway_urls]]
    for socket in both:
        for each in (group, other):
            await socket.call_ok("joinRoom", {"conversationId": each})
    bob_id = users.user("bob").id

    # As by a gateway that is cut off from Redis: it is stored, and no event of it is ever published.
    ended = {"$currentDate": {"leftAt": True}}
    await database["memberships"].update_one({"_id": f"{group}:{bob_id}"}, ended)
    removed = time.monotonic()
    for socket in both:
        await socket.wait_for("participantRemoved", SECONDS, conversationId=group, userId=bob_id)
    assert time.monotonic() - removed < SECONDS

    await alice.send(group, "not for bob")
    await alice.send(other, "for bob")
    for socket in both:
        await socket.wait_for("newMessage", conversationId=other)
        assert socket.messages(group) == []
        answer = await socket.call_ok("sync", {"conversations": {group: 0}})
        assert answer["conversations"][group]["error"]["code"] == "NOT_FOUND"
        refusal(await socket.call("typing", {"conversationId": group}), "NOT_FOUND")
    assert (await users.user("bob").rest("GET", f"/chats/conversations/{group}/messages"))[0] == 404


async def test_a_removal_is_announced_once_though_the_watch_sees_it_too(
    users: ChatUsers, stack: Stack, database: Database
) -> None:
    (alice,) = await users.sockets("alice")
    everywhere = [await users.user(n).socket(url=u) for n in ("carol", "dave") for u in stack.gateway_urls]
    group = await users.group(alice, "carol", "dave")
    for socket in everywhere:
        await socket.wait_for("conversationCreated", _id=group)
    carol, dave = users.user("carol").id, users.user("dave").id

    path = f"/chats/conversations/{group}/participants/{carol}"
    assert (await users.user("alice").rest("DELETE", path))[0] == 200
    await alice.wait_for("participantRemoved", userId=carol)
    ended = {"$currentDate": {"leftAt": True}}
    await database["memberships"].update_one({"_id": f"{group}:{dave}"}, ended)

    # The watch has seen the first removal too when the second, which it alone announces, arrives.
    await alice.wait_for("participantRemoved", userId=dave)
    assert len(alice.events("participantRemoved", userId=carol)) == 1
