"""The clients and lawyers guide's own sequence with the JavaScript client, beside the connections guide's."""

import uuid
from typing import Any

import pytest

from clients.baseline import refusal
from clients.chat import ChatUsers, User, eventually
from clients.javascript import JsSocket, Program
from clients.matching import A_TIME, A_UUID
from clients.poison import clear_away, send_unstorable
from clients.tokens import fresh
from clients.uploads import attached
from parley.gateway.protocols.clients_and_lawyers import CLIENTS_AND_LAWYERS
from parley.gateway.protocols.connections import CONNECTIONS
from parley.shared.model import MAX_EXTRA
from parley.stack import Stack

GUIDE_S_OWN = {"receiveMessage"}
NEIGHBOUR_S = {"message", "typing", "userOnline", "userOffline", "unreadCount", "conversationCreated"}


def person(user: User) -> dict[str, Any]:
    return {"id": user.id, "name": user.id.title(), "username": user.id}


def message(sender: User, conversation_id: str, content: str, **more: Any) -> dict[str, Any]:
    return {
        "id": A_UUID,
        "conversationId": conversation_id,
        "senderId": sender.id,
        "sender": person(sender),
        "senderName": sender.id.title(),
        "type": more.get("type", "file" if "attachments" in more else "text"),
        "content": content,
        "createdAt": A_TIME,
        "updatedAt": A_TIME,
        **more,
    }


async def start(one: User, other: User) -> str:
    """Create the users' direct conversation, once both have tokens with names; return its id."""
    await other.rest("GET", "/chat/unread-count")
    status, started = await one.rest("POST", "/chat/conversations", {"participantId": other.id})
    assert status == 201
    return str(started["id"])


async def both(program: Program, users: ChatUsers) -> tuple[JsSocket, JsSocket]:
    """Connect sockets of ann and ben to two gateways."""
    alice = await program.connect(users.user("ann"), users.url, CLIENTS_AND_LAWYERS)
    return alice, await program.connect_elsewhere(users.user("ben"), users.url, CLIENTS_AND_LAWYERS, alice)


def events(socket: JsSocket, program: Program, since: int = 0) -> set[str]:
    """Return the names of the events received, without the Socket.IO client's own."""
    received_events = {event for name, event, _ in program.received[since:] if name == socket.name}
    return received_events - {"open", "upgrade", "connect", "disconnect"}


@pytest.mark.parametrize(
    "transports", [None, ["websocket"], ["polling"]], ids=["upgraded", "websocket", "polling"]
)
async def test_the_guide_s_own_sequence(
    program: Program, users: ChatUsers, transports: list[str] | None
) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    talk = await start(ann, ben)
    alice = await program.connect(ann, users.url, CLIENTS_AND_LAWYERS, transports)
    bob = await program.connect_elsewhere(ben, users.url, CLIENTS_AND_LAWYERS, alice, transports)

    await alice.emit("sendMessage", {"conversationId": talk, "content": "Good morning", "caseId": 7})
    alice.mark_protocol_resolved()
    for socket in (alice, bob):
        assert await socket.wait_for("receiveMessage") == message(
            ann, talk, "Good morning", caseId=7, seq=1, rev=1
        )
    name = str(uuid.uuid4())
    sent = await bob.call_ok(
        "sendMessage", {"conversationId": talk, "text": "Good morning!", "clientMessageId": name}
    )
    bob.mark_protocol_resolved()
    reply = message(ben, talk, "Good morning!", text="Good morning!", clientMessageId=name)
    assert sent == {"success": True, "message": {**reply, "isRead": False}}
    for socket in (alice, bob):
        received_events = await socket.wait_for("receiveMessage", 2)
        assert received_events == {**reply, "id": sent["message"]["id"], "seq": 2, "rev": 2}

    since = len(program.received)
    assert await alice.call_ok("markAsRead", {"messageId": received_events["id"]}) == {"success": True}
    about = {"conversationId": talk, "messageId": received_events["id"]}
    for socket in (alice, bob):
        read = await socket.wait_for("receiveRead")
        assert read == {**about, "userId": ann.id, "readAt": A_TIME, "seq": 2}
    assert await bob.call_ok("editMessage", {"messageId": received_events["id"], "content": "Hello"}) == {
        "success": True
    }
    edited = {
        **received_events,
        "content": "Hello",
        "text": "Hello",
        "rev": 3,
        "editedAt": A_TIME,
        "updatedAt": A_TIME,
    }
    for socket in (alice, bob):
        assert await socket.wait_for("receiveEdit") == edited
    assert await bob.call_ok("deleteMessage", {"messageId": received_events["id"]}) == {"success": True}
    for socket in (alice, bob):
        assert await socket.wait_for("receiveDeletion") == {**about, "seq": 2, "rev": 4, "deletedAt": A_TIME}
    for socket in (alice, bob):
        assert events(socket, program, since) == {"receiveRead", "receiveEdit", "receiveDeletion"}


async def test_a_message_reaches_only_the_members_of_its_conversation(
    program: Program, users: ChatUsers
) -> None:
    talk = await start(users.user("ann"), users.user("ben"))
    alice, bob = await both(program, users)
    bob_2 = await program.connect_elsewhere(users.user("ben"), users.url, CLIENTS_AND_LAWYERS, bob)
    eve = await program.connect(users.user("eve"), users.url, CLIENTS_AND_LAWYERS)

    await alice.call_ok("sendMessage", {"conversationId": talk, "content": "between us"})

    for socket in (alice, bob, bob_2):
        await socket.wait_for("receiveMessage")
        assert len(socket.events("receiveMessage")) == 1
    assert events(eve, program) == set()


async def test_without_a_token_nobody_comes_in(program: Program, users: ChatUsers) -> None:
    for name, auth in (("none", {}), ("bad", {"token": "not.a.token"})):
        await program.command("open", name, url=users.url, options={"auth": auth})
        error = await JsSocket(program, name).wait_for("connect_error")
        assert error["data"]["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize("name", ["content", "message", "text"])
async def test_the_text_goes_by_each_of_three_names(program: Program, users: ChatUsers, name: str) -> None:
    ann = users.user("ann")
    talk = await start(ann, users.user("ben"))
    alice, bob = await both(program, users)

    await alice.call_ok("sendMessage", {"conversationId": talk, name: "Hello!"})

    expected = message(ann, talk, "Hello!", seq=1, rev=1)
    assert await bob.wait_for("receiveMessage") == {**expected, name: "Hello!"}


async def test_extra_fields_of_a_message_come_back_unchanged(program: Program, users: ChatUsers) -> None:
    ann = users.user("ann")
    talk = await start(ann, users.user("ben"))
    alice, bob = await both(program, users)
    along = {
        "timestamp": "2026-01-01T00:00:00Z",
        "kind": "note",
        "extra": {"a": [1, 2.5, None, True, {"ü": "\u2028\u0000"}]},
        "conversation_id": "elsewhere",
        "client_message_id": 7,
        "to.who": "x",
        "": "no name",
        "__proto__x": [],
    }

    sent = await alice.call_ok("sendMessage", {"conversationId": talk, "content": "Hello!", **along})

    expected = {**message(ann, talk, "Hello!"), **along}
    assert sent["message"] == {**expected, "isRead": False}
    for socket in (alice, bob):
        assert await socket.wait_for("receiveMessage") == {**expected, "seq": 1, "rev": 1}


async def test_an_upload_goes_along_with_a_message(program: Program, users: ChatUsers) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    talk = await start(ann, ben)
    alice, bob = await both(program, users)
    file = await attached(users.url, ann, b"a plea", "plea.txt")

    await alice.call_ok("sendMessage", {"conversationId": talk, "attachments": [file["id"]], "page": 2})

    expected = message(ann, talk, "", attachments=[file], page=2, seq=1, rev=1)
    assert await bob.wait_for("receiveMessage") == expected
    refused = await alice.call("sendMessage", {"conversationId": talk, "attachments": [str(uuid.uuid4())]})
    refusal(refused, "NOT_FOUND")


async def test_nobody_speaks_under_another_s_name(program: Program, users: ChatUsers) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    talk = await start(ann, ben)
    alice, bob = await both(program, users)
    forged = {
        "id": "mine",
        "sender": {"id": ben.id, "name": "Ben"},
        "senderId": ben.id,
        "createdAt": "1999-01-01T00:00:00Z",
        "updatedAt": "1999-01-01T00:00:00Z",
        "editedAt": "1999-01-01T00:00:00Z",
        "deletedAt": "1999-01-01T00:00:00Z",
        "seq": 99,
        "rev": 99,
        "isRead": True,
        "senderName": "Ben",
        "type": "system",
    }

    sent = await alice.call_ok("sendMessage", {"conversationId": talk, "content": "I am Ben", **forged})

    expected = message(ann, talk, "I am Ben")
    assert sent["message"] == {**expected, "isRead": False}
    for socket in (alice, bob):
        assert await socket.wait_for("receiveMessage") == {**expected, "seq": 1, "rev": 1}


async def test_other_guides_see_the_text_and_nothing_of_what_is_sent_along(
    program: Program, users: ChatUsers
) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    talk = await start(ann, ben)
    alice = await program.connect(ann, users.url, CLIENTS_AND_LAWYERS)
    await alice.call_ok("sendMessage", {"conversationId": talk, "message": "Hello!", "secretOfOurs": 1})
    await alice.wait_for("receiveMessage")

    (shown,) = await ben.history(talk)
    assert (shown["content"], "secretOfOurs" in shown) == ("Hello!", False)
    (shown,) = (await ben.rest("GET", f"/chat/conversations/{talk}/messages"))[1]
    assert shown == message(ann, talk, "Hello!", seq=1, rev=1, isRead=False)


async def test_a_retry_through_another_gateway_is_one_message_and_other_content_is_rejected(
    program: Program, users: ChatUsers
) -> None:
    ann = users.user("ann")
    talk = await start(ann, users.user("ben"))
    one = await program.connect(ann, users.url, CLIENTS_AND_LAWYERS)
    other = await program.connect_elsewhere(ann, users.url, CLIENTS_AND_LAWYERS, one)
    retried, taken = ({"conversationId": talk, "clientMessageId": str(uuid.uuid4())} for _ in range(2))
    first = [(await one.call_ok("sendMessage", {**retried, "text": "first"}))["message"]]
    await one.wait_for("receiveMessage")
    first.append((await other.call_ok("sendMessage", {**retried, "text": "first"}))["message"])
    assert first[0]["id"] == first[1]["id"]

    second = (await one.call_ok("sendMessage", {**taken, "text": "second"}))["message"]
    await one.wait_for("receiveMessage", 2)
    await other.call_ok("sendMessage", {**taken, "text": "third"})

    rejected = await other.wait_for("receiveRejection")
    assert rejected == {
        **taken,
        "messageId": second["id"],
        "error": {"code": "CONFLICT", "message": rejected["error"]["message"], "retryable": False},
    }
    assert [m["content"] for m in other.events("receiveMessage")] == ["first", "second"]


async def test_other_users_conversations_look_like_missing_ones(program: Program, users: ChatUsers) -> None:
    talk = await start(users.user("ann"), users.user("ben"))
    alice, bob = await both(program, users)
    await alice.call_ok("sendMessage", {"conversationId": talk, "text": "secret"})
    theirs = (await bob.wait_for("receiveMessage"))["id"]
    eve = await program.connect(users.user("eve"), users.url, CLIENTS_AND_LAWYERS)

    for event, field, own, more in (
        ("sendMessage", "conversationId", talk, {"text": "hello"}),
        ("editMessage", "messageId", theirs, {"content": "hello"}),
        ("deleteMessage", "messageId", theirs, {}),
        ("markAsRead", "messageId", theirs, {}),
    ):
        answers = [await eve.call(event, {field: each, **more}) for each in (own, str(uuid.uuid4()))]
        refusal(answers[0], "NOT_FOUND")
        assert answers[0] == answers[1]
    assert len(await users.user("ben").history(talk)) == 1


DEEP: Any = []
for _ in range(250):
    DEEP = [DEEP]
BAD_WORDS: list[tuple[dict[str, Any], str]] = [
    ({}, "content"),
    ({"content": " "}, "content"),
    ({"content": "x" * 8_001}, "content"),
    ({"text": 7}, "text"),
    ({"content": "x", "text": "x"}, "text"),
    ({"content": "x", "message": "x"}, "message"),
    ({"content": "x", "clientMessageId": "x"}, "clientMessageId"),
    ({"content": "x", "attachments": [{"url": "x"}]}, "attachments"),
    ({"content": "x", "small": 1, "large": "x" * MAX_EXTRA}, "large"),
    ({"content": "x", "shallow": 1, "deep": DEEP}, "deep"),
    ({"content": "x", "conversationId": 7}, "conversationId"),
]


async def test_an_invalid_payload_is_refused_by_field_and_not_stored(
    program: Program, users: ChatUsers
) -> None:
    talk = await start(users.user("ann"), users.user("ben"))
    alice, bob = await both(program, users)

    for payload, field in BAD_WORDS:
        error = refusal(await alice.call("sendMessage", {"conversationId": talk, **payload}), "INVALID")
        assert field in error["details"], (payload, error)
        assert error["message"].startswith(f"{field}: "), error
    refusal(await alice.call("sendMessage", {"text": "x", "colour": 1}), "INVALID")
    for no_object in ("text", ["a"], 7):
        refusal(await alice.call("sendMessage", no_object), "INVALID")

    room = MAX_EXTRA - len('{"large":""}')
    await alice.call_ok("sendMessage", {"conversationId": talk, "content": "good", "large": "x" * room})
    assert (await bob.wait_for("receiveMessage"))["large"] == "x" * room
    assert [m["content"] for m in await users.user("ben").history(talk)] == ["good"]


async def test_an_undecided_socket_receives_the_events_of_both_protocols(
    program: Program, users: ChatUsers
) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    talk = await start(ann, ben)
    alice, bob = await both(program, users)
    payload = {"conversationId": talk, "content": "good in both"}

    sent = await alice.call_ok("sendMessage", payload)

    # The acknowledgement of one protocol is valid in the other.
    CONNECTIONS.inbound["sendMessage"].ack.field.deserialize(sent)
    expected = message(ann, talk, "good in both", seq=1, rev=1)
    for socket in (alice, bob):
        assert await socket.wait_for("receiveMessage") == expected
        assert await socket.wait_for("message") == {**expected, "isRead": False}
    about = {"messageId": sent["message"]["id"]}
    await bob.call_ok("markAsRead", about)
    await alice.call_ok("editMessage", {**about, "content": "edited"})
    for socket in (alice, bob):
        # A repaired stream delivers a message as it is by then: deleted, and no edit before.
        await socket.wait_for("receiveEdit")
    await alice.call_ok("deleteMessage", about)
    for socket in (alice, bob):
        await socket.wait_for("receiveDeletion")
        await socket.wait_for("messageDeleted")
        for event in ("receiveMessage", "receiveRead", "receiveEdit", "receiveDeletion"):
            assert len(socket.events(event)) == 1, event
        for event in ("message", "messageRead", "messageUpdated", "messageDeleted"):
            assert len(socket.events(event)) == 1, event


@pytest.mark.parametrize("decided_by", ["a further field", "text", "message"])
async def test_a_payload_that_only_this_guide_takes_decides(
    program: Program, users: ChatUsers, decided_by: str
) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    talk = await start(ann, ben)
    alice = await program.connect(ann, users.url, CLIENTS_AND_LAWYERS)
    bob = await program.connect_elsewhere(ben, users.url, CONNECTIONS, alice)
    payloads = {
        "a further field": {"content": "x", "colour": "red"},
        "text": {"text": "x"},
        "message": {"message": "x"},
    }
    await alice.call_ok("sendMessage", {"conversationId": talk, **payloads[decided_by]})
    alice.mark_protocol_resolved()
    await bob.wait_for("message")
    since = len(program.received)

    await bob.call_ok("typing", {"conversationId": talk, "isTyping": True})
    await bob.call_ok("sendMessage", {"conversationId": talk, "content": "reply"})
    await alice.wait_for("receiveMessage", 2)
    await bob.close()
    other = await program.connect(ben, users.url, CLIENTS_AND_LAWYERS)
    await other.call_ok("sendMessage", {"conversationId": talk, "text": "again"})
    await alice.wait_for("receiveMessage", 3)

    assert events(alice, program, since) == GUIDE_S_OWN


async def test_a_word_of_the_other_guide_decides_for_it(program: Program, users: ChatUsers) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    talk = await start(ann, ben)
    alice = await program.connect(ann, users.url, CONNECTIONS)
    bob = await program.connect_elsewhere(ben, users.url, CONNECTIONS, alice)
    await bob.call_ok("typing", {"conversationId": talk, "isTyping": False})
    bob.mark_protocol_resolved()

    await alice.call_ok("sendMessage", {"conversationId": talk, "content": "hello"})

    await bob.wait_for("message")
    await bob.wait_for("unreadCount")
    assert bob.events("receiveMessage") == []
    await alice.wait_for("receiveMessage")
    refused = refusal(await bob.call("sendMessage", {"conversationId": talk, "text": "x"}), "INVALID")
    assert "text" in refused["details"]
    answer = await bob.call_ok("sendMessage", {"conversationId": talk, "content": "reply"})
    assert answer["message"]["isRead"] is False
    assert await eventually(lambda: len(alice.events("message")) == 2)
    assert events(bob, program) <= NEIGHBOUR_S


async def test_a_message_that_cannot_be_stored_is_reported_to_its_sender(
    program: Program, users: ChatUsers, stack: Stack
) -> None:
    ann = users.user("ann")
    talk = await start(ann, users.user("ben"))
    alice, bob = await both(program, users)
    bad = await send_unstorable(stack, ann, talk)
    failed = await alice.wait_for("receiveFailure")
    assert failed == {
        "conversationId": talk,
        "messageId": bad,
        "clientMessageId": None,
        "error": {"code": failed["error"]["code"], "message": failed["error"]["message"], "retryable": False},
    }
    assert bob.events("receiveFailure") == []
    await clear_away(stack)


async def test_a_fresh_token_keeps_the_socket(program: Program, users: ChatUsers) -> None:
    ann = users.user("ann")
    socket = await program.connect(ann, users.url, CLIENTS_AND_LAWYERS)

    renewed = await socket.call_ok("reauthenticate", {"token": fresh(users.secret, ann.id)})

    assert renewed == {"success": True, "expiresAt": A_TIME}
    assert (await socket.inspect())["connected"] is True
