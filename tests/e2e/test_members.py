"""Permissions of the roles in a conversation, and of removed members."""

from typing import Any

import pytest

from clients.baseline import Baseline, refusal
from clients.broker import Exchange
from clients.chat import ChatUsers
from parley.shared.model import Message, Person, new_id, now
from parley.shared.records import Deletion, Edit, NewMessage, pack
from parley.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet")


def path(conversation_id: str, rest: str = "") -> str:
    return f"/chats/conversations/{conversation_id}{rest}"


async def test_nobody_edits_a_message_of_somebody_else(baseline: Baseline) -> None:
    wish = {"messageId": baseline.reply["_id"], "content": "words in your mouth"}

    await baseline.assert_refused("FORBIDDEN", "editMessage", wish)
    await baseline.assert_refused("FORBIDDEN", "editMessage", {**wish, "conversationId": baseline.group})


async def test_a_member_does_not_delete_a_message_of_somebody_else(baseline: Baseline) -> None:
    bob = baseline.users.user("bob")
    await baseline.assert_refused(
        "FORBIDDEN", "deleteMessage", {"messageId": baseline.message["_id"]}, socket=baseline.bob
    )

    status, answer = await bob.rest("DELETE", f"/chats/messages/{baseline.message['_id']}")

    assert status == 403
    refusal(answer, "FORBIDDEN")


async def test_a_deleted_message_is_not_edited(baseline: Baseline) -> None:
    await baseline.alice.call_ok("joinRoom", {"conversationId": baseline.group})
    await baseline.alice.call_ok("deleteMessage", {"messageId": baseline.message["_id"]})
    await baseline.alice.wait_for("messageDeleted", messageId=baseline.message["_id"])
    await baseline.capture()

    await baseline.assert_refused(
        "CONFLICT", "editMessage", {"messageId": baseline.message["_id"], "content": "again"}
    )


async def test_a_member_neither_adds_nor_removes_people(baseline: Baseline) -> None:
    users = baseline.users
    for method, rest, body in (
        ("POST", "/participants", {"participants": [users.user("dave").id]}),
        ("DELETE", f"/participants/{users.user('alice').id}", None),
    ):
        status, answer = await users.user("bob").rest(method, path(baseline.group, rest), body)
        assert status == 403
        refusal(answer, "FORBIDDEN")


async def test_not_even_an_admin_removes_the_owner(users: ChatUsers, database: Any) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob", "erin")
    place = {"conversationId": group, "userId": users.user("erin").id}
    await database["memberships"].update_one(place, {"$set": {"role": "admin"}})

    status, answer = await users.user("erin").rest(
        "DELETE", path(group, f"/participants/{users.user('alice').id}")
    )

    assert status == 403
    refusal(answer, "FORBIDDEN")
    await alice.send(group, "still here", tempId="t")
    await alice.wait_for("messageSent", tempId="t")
    assert bob.events("participantRemoved") == []


async def test_removing_somebody_who_is_not_in_it_is_not_found(baseline: Baseline) -> None:
    for user_id in (baseline.users.user("dave").id, "nobody", "$ne", "a:b"):
        await baseline.assert_refused_by_rest(
            404, "NOT_FOUND", "DELETE", path(baseline.group, f"/participants/{user_id}")
        )


async def test_a_direct_conversation_keeps_its_two(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    direct = (await alice.call_ok("createConversation", {"participants": [users.user("bob").id]}))[
        "conversation"
    ]
    others: list[tuple[str, str, Any]] = [
        ("POST", "/leave", {}),
        ("POST", "/participants", {"participants": [users.user("dave").id]}),
        ("DELETE", f"/participants/{users.user('bob').id}", None),
        ("DELETE", f"/participants/{users.user('alice').id}", None),
    ]

    for user in ("alice", "bob"):
        for method, rest, body in others:
            status, answer = await users.user(user).rest(method, path(direct["_id"], rest), body)
            assert status == 403, (user, rest, answer)
            refusal(answer, "FORBIDDEN")

    status, now = await users.user("bob").rest("GET", path(direct["_id"]))
    assert (status, len(now["participants"])) == (200, 2)
    await alice.send(direct["_id"], "still here")
    await bob.wait_for("unreadCount", conversationId=direct["_id"], unread=1)


@pytest.mark.parametrize("how", ["removed", "leaves"])
async def test_a_former_member_neither_sends_nor_reads_nor_receives(how: str, users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    for socket in (alice, bob):
        await socket.call_ok("joinRoom", {"conversationId": group})
    sent = await bob.send(group, "I was here")
    await bob.wait_for("newMessage", conversationId=group)

    if how == "removed":
        by = users.user("alice").rest("DELETE", path(group, f"/participants/{users.user('bob').id}"))
    else:
        by = users.user("bob").rest("POST", path(group, "/leave"), {})
    assert (await by)[0] == 200
    await bob.wait_for("participantRemoved", conversationId=group)
    await alice.wait_for("participantRemoved", conversationId=group)
    received = len(bob.received)

    events: dict[str, Any] = {
        "sendMessage": {"content": "hello?"},
        "joinRoom": {},
        "typing": {},
        "markConversationAsRead": {},
        "markAsDelivered": {"seq": 1},
        "markAsRead": {"messageId": sent["_id"]},
        "editMessage": {"messageId": sent["_id"], "content": "I was never here"},
        "deleteMessage": {"messageId": sent["_id"]},
    }
    for event, more in events.items():
        refusal(await bob.call(event, {"conversationId": group, **more}), "NOT_FOUND")
    synced = await bob.call_ok("sync", {"conversations": {group: 0}})
    assert synced["conversations"][group]["error"]["code"] == "NOT_FOUND"
    rest: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("GET", "/messages", None),
        ("POST", "/read", {}),
        ("POST", "/leave", {}),
    ]
    for method, where, body in rest:
        status, answer = await users.user("bob").rest(method, path(group, where), body)
        assert status == 404
        refusal(answer, "NOT_FOUND")
    assert (await users.user("bob").rest("GET", "/chats/conversations"))[1]["conversations"] == []

    await alice.emit("typing", {"conversationId": group})
    gone = await alice.send(group, "he is gone")
    await alice.wait_for("messageSent", messageId=gone["_id"])
    await bob.call_ok("getOnlineUsers")
    assert [event for event, p in bob.received[received:] if group in str(p)] == []
    assert [m["content"] for m in await users.user("alice").history(group)] == ["I was here", "he is gone"]


async def test_a_pending_message_of_a_removed_author_is_rejected(users: ChatUsers, stack: Stack) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await alice.call_ok("joinRoom", {"conversationId": group})
    edited, deleted = [(await bob.send(group, content))["_id"] for content in ("one", "two")]
    await alice.wait_for("newMessage", conversationId=group)
    member = users.user("bob").id
    assert (await users.user("alice").rest("DELETE", path(group, f"/participants/{member}")))[0] == 200
    person, at = Person(id=member), now()
    late = Message(id=new_id(), conversation_id=group, sender_id=member, content="late", created_at=at)
    where = {"conversation_id": group, "at": at}

    async with Exchange(stack) as exchange:
        sent = [
            NewMessage(id=new_id(), message=late, sender=person),
            Edit(id=new_id(), message_id=edited, user=person, content="never sent", **where),
            Deletion(id=new_id(), message_id=deleted, user_id=member, **where),
        ]
        await exchange.publish(group, pack(sent))

    for message_id in (late.id, edited, deleted):
        rejected = await bob.wait_for("messageRejected", messageId=message_id)
        assert rejected["error"]["code"] == "NOT_FOUND"
    assert [m["content"] for m in await users.user("alice").history(group)] == ["one", "two"]
    assert alice.events("messageUpdated") == alice.events("messageDeleted") == []


async def test_a_second_removal_of_a_member_changes_nothing(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    where = path(group, f"/participants/{users.user('bob').id}")

    assert (await users.user("alice").rest("DELETE", where))[0] == 200
    status, answer = await users.user("alice").rest("DELETE", where)

    assert status == 404
    refusal(answer, "NOT_FOUND")
    await bob.wait_for("participantRemoved", conversationId=group)
    assert len(bob.events("participantRemoved")) == 1
