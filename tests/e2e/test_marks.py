"""Marks at missing or future messages are refused, and the counts stay."""

import uuid
from typing import Any

import pytest

from clients.baseline import Baseline, refusal
from clients.chat import ChatUsers, eventually
from clients.invariants import assert_unread_counts

pytestmark = pytest.mark.usefixtures("quiet")

BAD_SEQS: list[Any] = [0, -1, -(2**70), 1.5, "1", "", None, True, False, [], [1], {}, {"$gt": 0}]


async def test_delivered_up_to_what_is_no_number_is_refused(baseline: Baseline) -> None:
    for seq in BAD_SEQS:
        error = await baseline.assert_refused(
            "INVALID", "markAsDelivered", {"conversationId": baseline.group, "seq": seq}
        )
        assert list(error["details"]) == ["seq"]
    await baseline.assert_refused("INVALID", "markAsDelivered", {"conversationId": baseline.group})


async def test_delivered_up_to_what_lies_ahead_is_refused(baseline: Baseline) -> None:
    for seq in (3, 4, 1_000, 2**31, 2**53, 2**53 + 1, 2**63, 2**70):
        for _ in range(2):
            await baseline.assert_refused(
                "INVALID", "markAsDelivered", {"conversationId": baseline.group, "seq": seq}
            )


async def test_nothing_is_delivered_in_an_empty_conversation(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")

    refusal(await alice.call("markAsDelivered", {"conversationId": group, "seq": 1}), "INVALID")


async def test_a_message_that_does_not_exist_is_not_read(baseline: Baseline) -> None:
    for message_id in (str(uuid.uuid4()), "1", "last", "*", "$ne", baseline.group):
        await baseline.assert_refused("NOT_FOUND", "markAsRead", {"messageId": message_id})
        await baseline.assert_refused(
            "NOT_FOUND", "markAsRead", {"messageId": message_id, "conversationId": baseline.group}
        )


async def test_a_message_of_another_conversation_is_not_read(baseline: Baseline) -> None:
    for message, conversation_id in (
        (baseline.foreign, baseline.group),
        (baseline.foreign, baseline.elsewhere),
        (baseline.reply, baseline.elsewhere),
        (baseline.reply, str(uuid.uuid4())),
    ):
        wish = {"messageId": message["_id"], "conversationId": conversation_id}
        await baseline.assert_refused("NOT_FOUND", "markAsRead", wish)


async def test_a_message_of_ones_own_other_conversation_is_not_read_here(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    here, there = await users.group(alice, "bob"), await users.group(alice, "bob")
    await bob.wait_for("conversationCreated", _id=there)
    sent = await alice.send(there, "hello")
    await bob.wait_for("unreadCount", conversationId=there, unread=1)

    answer = await bob.call("markAsRead", {"conversationId": here, "messageId": sent["_id"]})

    refusal(answer, "NOT_FOUND")
    await bob.call_ok("markConversationAsRead", {"conversationId": here})
    assert await users.user("bob").unread(there) == 1


async def test_marks_by_other_fields_are_refused(baseline: Baseline) -> None:
    group = {"conversationId": baseline.group}
    await baseline.assert_refused("INVALID", "markAsRead", {**group, "seq": 1})
    await baseline.assert_refused(
        "INVALID", "markConversationAsRead", {**group, "messageId": baseline.reply["_id"]}
    )
    await baseline.assert_refused("INVALID", "markConversationAsRead", {**group, "seq": 2**53})
    await baseline.assert_refused("INVALID", "markAsDelivered", {**group, "messageId": baseline.reply["_id"]})
    where = f"/chats/conversations/{baseline.group}/read"
    for body in ({"seq": 5}, {"messageId": baseline.reply["_id"]}, {"userId": baseline.users.user("bob").id}):
        await baseline.assert_refused_by_rest(400, "INVALID", "POST", where, body)


async def test_a_mark_never_goes_back(users: ChatUsers, database: Any) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await bob.call_ok("joinRoom", {"conversationId": group})
    sent = [await alice.send(group, str(number)) for number in range(3)]
    await bob.wait_for("newMessage", conversationId=group)
    await bob.wait_for("unreadCount", conversationId=group, unread=3)
    await alice.call_ok("joinRoom", {"conversationId": group})

    await bob.call_ok("markConversationAsRead", {"conversationId": group})
    await alice.wait_for("conversationRead", seq=3)
    await bob.call_ok("markAsRead", {"conversationId": group, "messageId": sent[0]["_id"]})
    await bob.call_ok("markAsDelivered", {"conversationId": group, "seq": 1})
    await alice.send(group, "the last", tempId="last")
    await alice.wait_for("messageSent", tempId="last")

    assert await users.user("bob").unread(group) == 1
    place = await database["memberships"].find_one({"_id": f"{group}:{users.user('bob').id}"})
    assert place["readSeq"] == 3


async def test_deleted_messages_are_not_unread(users: ChatUsers, database: Any) -> None:
    alice, bob, carol = await users.sockets("alice", "bob", "carol")
    group = await users.group(alice, "bob", "carol", "dave")
    sent = [await alice.send(group, str(number)) for number in range(3)]
    for member in (bob, carol):
        await member.wait_for("unreadCount", conversationId=group, unread=3)
    await carol.call_ok("joinRoom", {"conversationId": group})
    await carol.call_ok("markAsRead", {"messageId": sent[1]["_id"]})

    for message in sent[1:]:
        await alice.call_ok("deleteMessage", {"messageId": message["_id"]})

    await bob.wait_for("unreadCount", conversationId=group, unread=1, total=1)
    await carol.wait_for("unreadCount", conversationId=group, unread=0, total=0)
    await assert_unread_counts(database, users, group)
    again = await users.user("bob").socket()
    await again.wait_for("unreadCount", conversationId=group, unread=1, total=1)
    # Nobody of this user was connected while the messages were deleted.
    dave = await users.user("dave").socket()
    await dave.wait_for("unreadCount", conversationId=group, unread=1, total=1)
    assert await users.user("dave").rest("GET", "/chat/unread-count") == (200, {"count": 1})
    await again.call_ok("markConversationAsRead", {"conversationId": group})
    await again.wait_for("unreadCount", conversationId=group, unread=0, total=0)


async def test_the_preview_of_a_deleted_message_is_marked(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    last = await alice.send(group, "a secret")
    await alice.wait_for("messageSent", messageId=last["_id"])
    await alice.call_ok("deleteMessage", {"messageId": last["_id"]})

    async def preview() -> Any:
        _, listed = await users.user("bob").rest("GET", "/chats/conversations")
        return listed["conversations"][0]["lastMessage"]

    await eventually(lambda: _is_deleted(preview), 10)
    assert (await preview())["content"] == ""


async def _is_deleted(preview: Any) -> bool:
    shown = await preview()
    return shown is not None and "deletedAt" in shown
