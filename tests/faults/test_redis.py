"""What is not a message, and is lost while Redis is away, is made up for too."""

import asyncio

from clients.chat import ChatUsers, eventually
from clients.proxy import Proxy
from parley.shared.mongo import Database
from parley.stack import Stack


async def test_marks_that_were_set_while_redis_was_away_are_told_when_it_is_back(
    fragile: Stack, users: ChatUsers, database: Database
) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    for socket in (alice, bob):
        await socket.call_ok("joinRoom", {"conversationId": group})
    await alice.send(group, "hello")
    heard = await bob.wait_for("newMessage", conversationId=group)

    await asyncio.to_thread(fragile.stop, "redis")
    await bob.call_ok("markAsRead", {"messageId": heard["message"]["_id"]})

    async def stored() -> bool:
        member = await database.memberships.find_one({"_id": f"{group}:{users.user('bob').id}"})
        return bool(member and member["readSeq"] == 1)

    await eventually(stored)
    await asyncio.to_thread(fragile.start, "redis")

    receipt = await alice.wait_for("conversationRead", conversationId=group)
    assert (receipt["readBy"], receipt["seq"]) == (users.user("bob").id, 1)
    await bob.wait_for("unreadCount", conversationId=group, unread=0)


async def test_an_admin_who_was_put_out_while_redis_was_away_lets_nobody_in_or_out(
    fragile: Stack, users: ChatUsers, database: Database
) -> None:
    alice, bob = users.user("alice"), users.user("bob")
    group = await users.group(await alice.socket(), "bob", "carol")
    place = {"conversationId": group, "userId": bob.id}
    await database.memberships.update_one(place, {"$set": {"role": "admin"}})
    # From now on all that these gateways remember of bob is that he is an admin.
    for url in fragile.gateway_urls:
        await bob.socket(url=url)
    members = f"/chats/conversations/{group}/participants"

    await asyncio.to_thread(fragile.stop, "redis")
    assert (await alice.rest("DELETE", f"{members}/{bob.id}"))[0] == 200
    let_in = await bob.rest("POST", members, {"participants": [users.user("mallory").id]})
    put_out = await bob.rest("DELETE", f"{members}/{users.user('carol').id}")
    await asyncio.to_thread(fragile.start, "redis")

    assert (let_in[0], put_out[0]) == (404, 404)
    status, now = await alice.rest("GET", f"/chats/conversations/{group}")
    assert status == 200
    assert {p["_id"] for p in now["participants"]} == {alice.id, users.user("carol").id}


async def test_who_was_put_out_while_redis_was_away_hears_no_more_of_who_is_online(
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
    told = len(bob.received)
    await alice.close()
    gone = {"userId": users.user("alice").id, "status": "offline"}
    await carol.wait_for("userStatusChanged", deadline=30, **gone)
    await bob.call_ok("getOnlineUsers")
    assert [p for name, p in bob.received[told:] if name == "userStatusChanged"] == []
    assert bob.messages(group) == []


async def test_who_goes_while_a_gateway_hears_nothing_is_seen_to_have_gone_when_it_does_again(
    fragile: Stack, users: ChatUsers
) -> None:
    near, far = fragile.gateway_urls
    with Proxy(fragile.redis_url) as proxy:
        await asyncio.to_thread(fragile.set_overrides, {"gateway-1": {"REDIS_URL": proxy.url}})
        try:
            alice = await users.user("alice").socket(url=near)
            bob, carol = [await users.user(name).socket(url=far) for name in ("bob", "carol")]
            await users.group(carol, "alice", "bob")
            bob_is = {"userId": users.user("bob").id}
            for socket in (alice, carol):
                await socket.wait_for("userStatusChanged", **bob_is, status="online")

            said = fragile.log("gateway-1").stat().st_size
            proxy.block()
            await bob.close()
            await carol.wait_for("userStatusChanged", **bob_is, status="offline")
            # What is under way to a connection that was given up arrives nowhere.
            await eventually(lambda: b"gateway.bus.lost" in fragile.log("gateway-1").read_bytes()[said:])
            proxy.unblock()

            await alice.wait_for("userStatusChanged", 30, **bob_is, status="offline")
            carol_s = [p["status"] for p in alice.events("userStatusChanged", userId=users.user("carol").id)]
            assert carol_s == ["online"]
        finally:
            proxy.unblock()
            await asyncio.to_thread(fragile.set_overrides, {})
