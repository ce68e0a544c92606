"""A whole conversation over several gateways and both transports, in one order."""

import json

from clients.chat import ChatUsers, eventually


async def test_a_message_reaches_members_on_other_gateways_and_transports(users: ChatUsers) -> None:
    alice = await users.user("alice").socket("websocket")
    bob = [await users.user("bob").socket(t) for t in ("polling", "websocket") * 3]
    assert len({s.node for s in [alice, *bob]}) == 2
    group = await users.group(alice, "bob")
    for socket in [alice, *bob]:
        await socket.call_ok("joinRoom", {"conversationId": group})

    sent = await alice.send(group, "hello", tempId="t1")

    for socket in [alice, *bob]:
        received = await socket.wait_for("newMessage", conversationId=group)
        assert received["message"]["_id"] == sent["_id"]
        assert received["message"]["content"] == "hello"
        assert (received["message"]["seq"], received["message"]["rev"]) == (1, 1)
    confirmed = await alice.wait_for("messageSent", tempId="t1")
    assert confirmed["messageId"] == sent["_id"]
    assert all(len(s.messages(group)) == 1 for s in bob)


async def test_a_member_that_has_not_joined_gets_the_unread_count_but_not_the_message(
    users: ChatUsers,
) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await bob.wait_for("conversationCreated", _id=group)

    await alice.send(group, "one")
    await alice.send(group, "two")

    assert (await bob.wait_for("unreadCount", conversationId=group, unread=2))["total"] == 2
    assert bob.messages(group) == []
    assert alice.events("unreadCount") == []


async def test_reading_changes_the_count_and_notifies_the_others(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    for socket in (alice, bob):
        await socket.call_ok("joinRoom", {"conversationId": group})
    first = await alice.send(group, "one")
    await alice.send(group, "two")
    await bob.wait_for("unreadCount", unread=2)

    await bob.call_ok("markAsRead", {"conversationId": group, "messageId": first["_id"]})

    receipt = await alice.wait_for("messageRead", messageId=first["_id"])
    assert (receipt["readBy"], receipt["seq"]) == (users.user("bob").id, 1)
    await bob.wait_for("unreadCount", conversationId=group, unread=1, total=1)
    assert await users.user("bob").unread(group) == 1

    await bob.call_ok("markConversationAsRead", {"conversationId": group})
    await alice.wait_for("conversationRead", readBy=users.user("bob").id)
    assert await users.user("bob").unread(group) == 0
    assert [m["status"] for m in await users.user("alice").history(group)] == ["read", "read"]


async def test_a_delivery_mark_is_announced_and_stored(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    for socket in (alice, bob):
        await socket.call_ok("joinRoom", {"conversationId": group})
    await alice.send(group, "one")
    await bob.wait_for("newMessage")

    await bob.call_ok("markAsDelivered", {"conversationId": group, "seq": 1})

    assert (await alice.wait_for("messageDelivered"))["deliveredTo"] == users.user("bob").id
    assert [m["status"] for m in await users.user("alice").history(group)] == ["delivered"]


async def test_an_edit_and_a_deletion_are_delivered_and_stored(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    for socket in (alice, bob):
        await socket.call_ok("joinRoom", {"conversationId": group})
    kept, gone = await alice.send(group, "colour"), await alice.send(group, "oops")
    await bob.wait_for("newMessage", conversationId=group)

    async def stored() -> bool:
        return len(await users.user("alice").history(group)) == 2

    await eventually(stored)
    await alice.call_ok("editMessage", {"messageId": kept["_id"], "content": "color"})
    await alice.call_ok("deleteMessage", {"messageId": gone["_id"]})

    updated = await bob.wait_for("messageUpdated")
    assert (updated["message"]["content"], updated["message"]["seq"]) == ("color", 1)
    assert updated["message"]["sender"]["_id"] == users.user("alice").id
    assert (await bob.wait_for("messageDeleted"))["messageId"] == gone["_id"]
    first, second = await users.user("bob").history(group)
    assert (first["content"], "editedAt" in first) == ("color", True)
    assert (second["content"], second["seq"], "deletedAt" in second) == ("", 2, True)


async def test_typing_is_announced_to_the_others_and_expires(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    for socket in (alice, bob):
        await socket.call_ok("joinRoom", {"conversationId": group})

    await bob.emit("typing", {"conversationId": group})

    assert (await alice.wait_for("userTyping"))["username"] == users.user("bob").id
    assert (await alice.wait_for("userStoppedTyping", deadline=8))["userId"] == users.user("bob").id
    assert bob.events("userTyping") == []


async def test_a_second_direct_conversation_of_two_people_is_the_first(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    first = await alice.call_ok(
        "createConversation", {"participants": [users.user("bob").id], "type": "direct"}
    )
    second = await bob.call_ok("createConversation", {"participantIds": [users.user("alice").id]})

    assert first["conversation"]["_id"] == second["conversation"]["_id"]
    assert {p["_id"] for p in second["conversation"]["participants"]} == {
        users.user("alice").id,
        users.user("bob").id,
    }


async def test_offline_presence_is_announced_to_contacts_after_a_grace(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await bob.wait_for("conversationCreated", _id=group)
    assert set((await bob.call_ok("getOnlineUsers"))["users"]) == {
        users.user("alice").id,
        users.user("bob").id,
    }

    await alice.close()
    gone = await bob.wait_for("userStatusChanged", userId=users.user("alice").id, status="offline")
    assert gone["timestamp"].endswith("Z")
    assert (await bob.call_ok("getOnlineUsers"))["users"] == [users.user("bob").id]

    await users.user("alice").socket()
    await bob.wait_for("userStatusChanged", userId=users.user("alice").id, status="online")


async def test_sync_answers_the_changes_made_meanwhile(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    joined = await bob.call_ok("joinRoom", {"conversationId": group})
    await bob.close()
    for number in range(3):
        await alice.send(group, f"message {number}", tempId=f"t{number}")
    await alice.wait_for("messageSent", tempId="t2")

    back = await users.user("bob").socket()
    answer = await back.call_ok("sync", {"conversations": {group: joined["rev"]}})

    changes = answer["conversations"][group]
    assert [m["content"] for m in changes["messages"]] == ["message 0", "message 1", "message 2"]
    assert changes["rev"] == 3


async def test_a_sync_of_large_messages_is_answered_in_parts(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    groups = [await users.group(alice, "bob") for _ in range(2)]
    sent = [f"{number:03}" + "\u6f22" * 7_900 for number in range(60)]
    for group in groups:
        for number, content in enumerate(sent):
            await alice.send(group, content, tempId=f"{group} {number}")
    for group in groups:
        await alice.wait_for("messageSent", tempId=f"{group} {len(sent) - 1}", deadline=30)

    received: dict[str, list[str]] = {group: [] for group in groups}
    revs, parts = dict.fromkeys(groups, 0), 0
    while revs:
        answer = await bob.call_ok("sync", {"conversations": revs})
        parts += 1
        assert len(json.dumps(answer, ensure_ascii=False).encode()) < 1 << 20
        for group, changes in answer["conversations"].items():
            received[group] += [m["content"] for m in changes["messages"]]
        revs = {g: each["rev"] for g, each in answer["conversations"].items() if each.get("more")}

    assert received == dict.fromkeys(groups, sent)
    assert parts > 2


async def test_a_sync_after_too_many_changes_is_answered_too_far(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    for number in range(501):
        await alice.emit("sendMessage", {"conversationId": group, "content": f"message {number}"})
    await alice.send(group, "the last", tempId="last")
    await alice.wait_for("messageSent", tempId="last", deadline=30)

    answer = await alice.call_ok("sync", {"conversations": {group: 0}})

    assert answer["conversations"][group]["tooFar"] is True


async def test_a_new_owner_can_administer_a_group_at_once(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await bob.wait_for("conversationCreated", _id=group)

    assert (await users.user("alice").rest("POST", f"/chats/conversations/{group}/leave"))[0] == 200
    left = await bob.wait_for("participantRemoved", conversationId=group)
    assert left["newOwner"] == users.user("bob").id

    path = f"/chats/conversations/{group}/participants"
    status, grown = await users.user("bob").rest("POST", path, {"participants": [users.user("cem").id]})
    assert (status, {p["_id"] for p in grown["participants"]}) == (
        200,
        {users.user("bob").id, users.user("cem").id},
    )


async def test_the_liveliest_conversation_comes_first(users: ChatUsers) -> None:
    alice = await users.user("alice").socket()
    quiet, lively = [await users.group(alice, "bob") for _ in range(2)]
    for conversation in (lively, quiet, lively):
        sent = await alice.send(conversation, "hello")
        await alice.wait_for("messageSent", messageId=sent["_id"])

    async def listed() -> list[str]:
        _, page = await users.user("alice").rest("GET", "/chats/conversations")
        return [c["_id"] for c in page["conversations"]]

    assert await listed() == [lively, quiet]
    sent = await alice.send(quiet, "not so quiet")
    await alice.wait_for("messageSent", messageId=sent["_id"])
    assert await listed() == [quiet, lively]


async def test_typing_ends_with_the_message(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    for socket in (alice, bob):
        await socket.call_ok("joinRoom", {"conversationId": group})
    await bob.emit("typing", {"conversationId": group})
    await alice.wait_for("userTyping")

    await bob.send(group, "hello")

    await alice.wait_for("newMessage")
    stopped = await alice.wait_for("userStoppedTyping", deadline=2)
    assert stopped["userId"] == users.user("bob").id
