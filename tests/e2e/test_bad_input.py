"""Invalid payloads are refused in the acknowledgement and by REST, and change nothing."""

from typing import Any

import pytest

from clients.baseline import Baseline, refusal
from clients.chat import NAMESPACE, ChatUsers

pytestmark = pytest.mark.usefixtures("quiet")

USER_NUMBER = 5
"""No text, but users may be named by numbers."""
NOT_TEXT: list[Any] = [None, USER_NUMBER, 1.5, True, [], ["hello"], {}, {"$gt": ""}]
BAD_CONTENTS: list[Any] = [
    *NOT_TEXT,
    "",
    "   ",
    "\n\t\r",
    "\u00a0\u2003\u3000",
    "x" * 8_001,
    "\U0001f600" * 8_001,
]
BAD_IDS: list[Any] = [*NOT_TEXT, "", "x" * 129, "a\x00b", "a\nb", "a\x7fb"]
UNKNOWN: list[dict[str, Any]] = [
    {"colour": "red"},
    {"$set": {"content": "hacked"}},
    {"$where": "1"},
    {"a.b": 1},
    {"sender.name": "Mallory"},
    {"__proto__": {"admin": True}},
    {"": ""},
    {"senderId": "mallory"},
    {"seq": 1},
    {"_id": "mine"},
    {"createdAt": "2001-01-01T00:00:00Z"},
]
CLIENT_EVENTS = [
    "createConversation",
    "joinRoom",
    "leaveRoom",
    "sendMessage",
    "editMessage",
    "deleteMessage",
    "typing",
    "stopTyping",
    "markAsRead",
    "markConversationAsRead",
    "markAsDelivered",
    "getOnlineUsers",
    "sync",
]


def good_payload(baseline: Baseline, event: str) -> dict[str, Any]:
    """A payload that is valid until something is added to it."""
    group = {"conversationId": baseline.group}
    payloads: dict[str, dict[str, Any]] = {
        "createConversation": {"participants": [baseline.users.user("dave").id]},
        "sendMessage": {**group, "content": "hello"},
        "editMessage": {**group, "messageId": baseline.message["_id"], "content": "hello"},
        "deleteMessage": {**group, "messageId": baseline.message["_id"]},
        "markAsRead": {**group, "messageId": baseline.reply["_id"]},
        "markAsDelivered": {**group, "seq": 2},
        "getOnlineUsers": {},
        "sync": {"conversations": {baseline.group: 0}},
    }
    return payloads.get(event, group)


async def test_content_that_is_not_text_or_empty_or_too_long_is_refused(baseline: Baseline) -> None:
    named = {"messageId": baseline.message["_id"], "conversationId": baseline.group}
    for content in BAD_CONTENTS:
        for event, payload in (("sendMessage", {"conversationId": baseline.group}), ("editMessage", named)):
            error = await baseline.assert_refused("INVALID", event, {**payload, "content": content})
            assert list(error["details"]) == ["content"]


async def test_a_message_without_content_is_refused(baseline: Baseline) -> None:
    await baseline.assert_refused("INVALID", "sendMessage", {"conversationId": baseline.group})
    await baseline.assert_refused("INVALID", "editMessage", {"messageId": baseline.message["_id"]})


@pytest.mark.parametrize(
    "content",
    [
        "x" * 8_000,
        "\U0001f600" * 8_000,
        " leading and trailing ",
        "a\x00b",
        "\x00",
        "\u202eright to left\u202c \u200d\ufeff",
        "e\u0301 and \u00e9 are not the same",
        '{"$set": {"content": 1}}',
        "$where",
        "<script>alert(1)</script>",
        "line\r\nline\u2028line",
    ],
)
async def test_every_other_text_is_stored_unchanged(content: str, users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await bob.call_ok("joinRoom", {"conversationId": group})

    await alice.send(group, content)

    received = await bob.wait_for("newMessage", conversationId=group)
    assert received["message"]["content"] == content
    assert [m["content"] for m in await users.user("bob").history(group)] == [content]


@pytest.mark.parametrize("event", [e for e in CLIENT_EVENTS if e not in ("getOnlineUsers", "sync")])
async def test_an_invalid_id_is_refused(event: str, baseline: Baseline) -> None:
    good = good_payload(baseline, event)
    for field in ("conversationId", "messageId", "participants"):
        if field not in good:
            continue
        # With a message's id the conversation's is optional, so that null counts as its absence.
        is_optional = field == "conversationId" and "messageId" in good
        for bad in BAD_IDS[1:] if is_optional else BAD_IDS:
            if field == "participants" and bad == USER_NUMBER:
                continue
            wrong = {**good, field: [bad] if field == "participants" else bad}
            await baseline.assert_refused("INVALID", event, wrong)


async def test_null_for_an_optional_field_counts_as_its_absence(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    nulls = {"type": None, "tempId": None, "replyTo": None, "clientMessageId": None, "attachments": None}

    sent = await alice.call_ok("sendMessage", {"conversationId": group, "content": "hello", **nulls})
    body = {"participants": [users.user("dave").id], "type": None, "name": None, "participantIds": None}
    status, created = await users.user("alice").rest("POST", "/chats/conversations", body)

    assert sent["message"]["type"] == "text"
    assert (status, created["type"]) == (201, "direct")


async def test_optional_fields_of_a_wrong_type_are_refused(baseline: Baseline) -> None:
    good = good_payload(baseline, "sendMessage")
    wrong: dict[str, list[Any]] = {
        "tempId": [5, True, [], {}, "", "x" * 129, "a\x00b"],
        "replyTo": [5, [], {}, "", "x" * 129],
        "type": ["", "TEXT", 5, [], {"$ne": "text"}],
        "clientMessageId": ["", "x", "1234", 5, True, [], {}, "00000000-0000-0000-0000-00000000000g"],
    }
    for field, values in wrong.items():
        for value in values:
            error = await baseline.assert_refused("INVALID", "sendMessage", {**good, field: value})
            assert list(error["details"]) == [field]


async def test_a_message_of_type_file_needs_an_attachment(baseline: Baseline) -> None:
    error = await baseline.assert_refused(
        "INVALID", "sendMessage", {**good_payload(baseline, "sendMessage"), "type": "file"}
    )
    assert list(error["details"]) == ["attachments"]


async def test_only_an_admin_or_a_service_sends_system_messages(baseline: Baseline) -> None:
    await baseline.assert_refused(
        "FORBIDDEN", "sendMessage", {**good_payload(baseline, "sendMessage"), "type": "system"}
    )


@pytest.mark.parametrize("event", CLIENT_EVENTS)
async def test_an_unknown_field_is_refused_and_named(event: str, baseline: Baseline) -> None:
    for more in UNKNOWN:
        if event == "markAsDelivered" and "seq" in more:
            continue
        error = await baseline.assert_refused("INVALID", event, {**good_payload(baseline, event), **more})
        assert list(error["details"]) == list(more)


@pytest.mark.parametrize("event", CLIENT_EVENTS)
async def test_a_payload_that_is_not_one_object_is_refused(event: str, baseline: Baseline) -> None:
    good = good_payload(baseline, event)
    for payload in ([good], [good, good], [], "text", "", 5, 0, 1.5, True, False):
        await baseline.assert_refused("INVALID", event, payload)
    await baseline.assert_refused("INVALID", event, good, good)
    await baseline.assert_refused("INVALID", event, good, None, {})
    if event != "getOnlineUsers":
        await baseline.assert_refused("INVALID", event)
        await baseline.assert_refused("INVALID", event, None)
        await baseline.assert_refused("INVALID", event, {})


async def test_listing_online_users_needs_no_payload(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    payloads: list[tuple[Any, ...]] = [(), (None,), ({},)]
    for args in payloads:
        answer = await alice.io.call("getOnlineUsers", args, namespace=NAMESPACE)
        assert answer == {"success": True, "users": [users.user("alice").id]}


@pytest.mark.parametrize(
    "event",
    [
        "",
        "connect",
        "disconnect",
        "disconnecting",
        "connect_error",
        "newListener",
        "message",
        "newMessage",
        "messageSent",
        "sendmessage",
        "send_message",
        "__proto__",
        "constructor",
        "__class__",
        "on_connect",
        "*",
        "a.b",
        "$where",
        "x" * 10_000,
        "\x00",
        "\u00e9v\u00e9nement",
    ],
)
async def test_an_event_that_does_not_exist_is_refused(event: str, baseline: Baseline) -> None:
    error = await baseline.assert_refused(
        "UNKNOWN_EVENT", event, {"conversationId": baseline.group, "content": "hello"}
    )

    assert len(error["message"]) < 200
    await baseline.assert_refused("UNKNOWN_EVENT", event)


async def test_sync_takes_revisions_by_conversation_only(baseline: Baseline) -> None:
    bad_revs: list[Any] = [-1, 1.5, "0", None, True, [], {"$gt": 0}, 2**53 + 1, 2**70]
    wrong: list[Any] = [
        *({baseline.group: rev} for rev in bad_revs),
        {"": 0},
        {"a\x00b": 0},
        {"x" * 129: 0},
        {f"c{number}": 0 for number in range(101)},
        [baseline.group],
        "text",
        None,
    ]
    for conversations in wrong:
        await baseline.assert_refused("INVALID", "sync", {"conversations": conversations})


async def test_a_group_s_name_must_be_text_within_its_limit(baseline: Baseline) -> None:
    body = {"type": "group", "participants": [baseline.users.user("bob").id]}
    names: list[Any] = [5, [], {}, True, "x" * 201]
    for name in names:
        await baseline.assert_refused("INVALID", "createConversation", {**body, "name": name})
        await baseline.assert_refused_by_rest(
            400, "INVALID", "POST", "/chats/conversations", {**body, "name": name}
        )


async def test_an_unknown_kind_of_conversation_is_refused(baseline: Baseline) -> None:
    body = {"participants": [baseline.users.user("dave").id]}
    kinds: list[Any] = ["", "Group", "channel", 5, [], ["group"], {}]
    for kind in kinds:
        await baseline.assert_refused("INVALID", "createConversation", {**body, "type": kind})
        await baseline.assert_refused_by_rest(
            400, "INVALID", "POST", "/chats/conversations", {**body, "type": kind}
        )


async def test_a_bad_event_without_an_acknowledgement_leaves_the_socket_usable(baseline: Baseline) -> None:
    for event in ("sendMessage", "createConversation", "no such event"):
        for payload in (None, {}, [1], "text", {"$gt": 1}):
            await baseline.alice.emit(event, payload)


async def test_bad_input_by_polling_is_refused_alike(baseline: Baseline) -> None:
    polling = await baseline.user.socket("polling")

    await baseline.assert_refused(
        "INVALID", "sendMessage", {"conversationId": baseline.group}, socket=polling
    )
    await baseline.assert_refused("UNKNOWN_EVENT", "no such event", socket=polling)

    await baseline.send_and_store(polling, baseline.group)
    await baseline.capture()


async def test_a_thousand_bad_events_in_a_row_are_all_answered(baseline: Baseline) -> None:
    for _ in range(10):
        answers = [
            baseline.alice.call("sendMessage", {"conversationId": baseline.group, "content": ""})
            for _ in range(100)
        ]
        for answer in answers:
            refusal(await answer, "INVALID")
