"""State changes that are lost while Redis is away are made up for, not only messages."""

import asyncio

import pytest

from clients.chat import ChatUsers, eventually
from clients.proxy import Proxy
from parley.shared.mongo import Database
from parley.stack import Stack


async def test_read_marks_of_a_redis_outage_are_sent_when_redis_is_back(
    fragile: Stack, users: ChatUsers, database: Database
) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    for socket in (alice, bob):
        await socket.call_ok("joinRoom", {"conversationId": group})
    await alice.send(group, "hello")
    received = await bob.wait_for("newMessage", conversationId=group)
    # Counts follow their message by up to a second, and a count that was never sent is not taken back.
    await bob.wait_for("unreadCount", conversationId=group, unread=1)

    await asyncio.to_thread(fragile.stop, "redis")
    await bob.call_ok("markAsRead", {"messageId": received["message"]["_id"]})

    async def stored() -> bool:
        member = await database.memberships.find_one({"_id": f"{group}:{users.user('bob').id}"})
        return bool(member and member["readSeq"] == 1)

    await eventually(stored)
    await asyncio.to_thread(fragile.start, "redis")

    receipt = await alice.wait_for("conversationRead", conversationId=group)
    assert (receipt["readBy"], receipt["seq"]) == (users.user("bob").id, 1)
    await bob.wait_for("unreadCount", conversationId=group, unread=0)


async def test_an_admin_removed_during_a_redis_outage_can_change_no_members(
    fragile: Stack, users: ChatUsers, database: Database
) -> None:
    alice, bob = users.user("alice"), users.user("bob")
    group = await users.group(await alice.socket(), "bob", "carol")
    place = {"conversationId": group, "userId": bob.id}
    await database.memberships.update_one(place, {"$set": {"role": "admin"}})
    # From now on these gateways remember of bob only that he is an admin.
    for url in fragile.gateway_urls:
        await bob.socket(url=url)
    members = f"/chats/conversations/{group}/participants"

    await asyncio.to_thread(fragile.stop, "redis")
    assert (await alice.rest("DELETE", f"{members}/{bob.id}"))[0] == 200
    addition = await bob.rest("POST", members, {"participants": [users.user("mallory").id]})
    removal = await bob.rest("DELETE", f"{members}/{users.user('carol').id}")
    await asyncio.to_thread(fragile.start, "redis")

    assert (addition[0], removal[0]) == (404, 404)
    status, now = await alice.rest("GET", f"/chats/conversations/{group}")
    assert status == 200
    assert {p["_id"] for p in now["participants"]} == {alice.id, users.user("carol").id}


async def test_a_member_removed_during_a_redis_outage_receives_no_more_presence(
    fragile: Stack, users: ChatUsers
) -> None:
    bob, carol = [await users.user(name).socket(url=fragile.gateway_urls[1]) for name in ("bob", "carol")]
    alice = await users.user("alice").socket(url=fragile.gateway_urls[0])
    group = await users.group(alice, "bob")
    await users.group(alice, "carol")
    await bob.call_ok("joinRoom", {"conversationId": group})

    await asyncio.to_thread(fragile.stop, "redis")
    members = f"/chats/conversations/{group}/participants"
    assert (await users.user("alice").rest("DELETE", f"{members}/{users.user('bob').id}"))[0] == 200
    await alice.send(group, "he is gone")
    await asyncio.to_thread(fragile.start, "redis")

    await bob.wait_for("participantRemoved", conversationId=group)
    before = len(bob.received)
    await alice.close()
    gone = {"userId": users.user("alice").id, "status": "offline"}
    await carol.wait_for("userStatusChanged", deadline=30, **gone)
    await bob.call_ok("getOnlineUsers")
    assert [p for name, p in bob.received[before:] if name == "userStatusChanged"] == []
    assert bob.messages(group) == []


@pytest.mark.slow
async def test_a_gateway_reports_users_as_offline_who_left_while_it_was_cut_off(
    fragile: Stack, users: ChatUsers
) -> None:
    first_url, second_url = fragile.gateway_urls
    with Proxy(fragile.redis_url) as proxy:
        await asyncio.to_thread(fragile.set_overrides, {"gateway-1": {"REDIS_URL": proxy.url}})
        try:
            alice = await users.user("alice").socket(url=first_url)
            bob, carol = [await users.user(name).socket(url=second_url) for name in ("bob", "carol")]
            await users.group(carol, "alice", "bob")
            bob_is = {"userId": users.user("bob").id}
            for socket in (alice, carol):
                await socket.wait_for("userStatusChanged", **bob_is, status="online")

            logged = fragile.log("gateway-1").stat().st_size
            proxy.block()
            await bob.close()
            await carol.wait_for("userStatusChanged", **bob_is, status="offline")
            # Data for a connection that was given up is dropped.
            await eventually(lambda: b"gateway.bus.lost" in fragile.log("gateway-1").read_bytes()[logged:])
            proxy.unblock()

            await alice.wait_for("userStatusChanged", 30, **bob_is, status="offline")
            statuses = [p["status"] for p in alice.events("userStatusChanged", userId=users.user("carol").id)]
            assert statuses == ["online"]
        finally:
            proxy.unblock()
            await asyncio.to_thread(fragile.set_overrides, {})
