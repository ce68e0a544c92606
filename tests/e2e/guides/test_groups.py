"""The groups guide's own sequence with the JavaScript client, through nginx on two gateways."""

import signal
import time
import uuid
from typing import Any

import jwt
import pytest

from clients.chat import ChatUsers, User, eventually
from clients.javascript import JsSocket, Program
from clients.matching import A_TIME, A_UUID, AN_EPOCH, Sorted
from clients.poison import clear_away, send_unstorable
from clients.tokens import fresh
from parley.gateway.protocols.groups import GROUPS
from parley.stack import Stack

SECONDS = 1.0
TRANSPORTS = {
    "polling, then upgraded": None,
    "websocket only": ["websocket"],
    "polling only": ["polling"],
}


def person(user: User) -> dict[str, Any]:
    return {"_id": user.id, "name": user.id.title(), "username": user.id}


def is_time(text: str) -> bool:
    return len(text) == len("2026-01-01T00:00:00.000Z") and text.endswith("Z")


@pytest.mark.parametrize("transports", TRANSPORTS.values(), ids=TRANSPORTS.keys())
async def test_the_guide_s_own_sequence(
    program: Program, users: ChatUsers, transports: list[str] | None
) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    alice = await program.connect(ann, users.url, GROUPS, transports, "alice")
    bob = await program.connect_elsewhere(ben, users.url, GROUPS, alice, transports)
    if transports is None:
        assert (await bob.wait_for("open"))["transport"] == "polling"
        assert (await bob.wait_for("upgrade"))["transport"] == "websocket"
    else:
        assert (await bob.inspect())["transport"] == transports[0]
    assert await alice.wait_for("onlineUsers") == [ann.id]

    await alice.emit("createConversation", {"type": "group", "name": "Plans", "participants": [ben.id]})
    created = await bob.wait_for("conversationCreated")
    assert (created["type"], created["name"]) == ("group", "Plans")
    assert sorted(p["_id"] for p in created["participants"]) == [ann.id, ben.id]
    assert {p["_id"]: p["role"] for p in created["participants"]} == {ann.id: "owner", ben.id: "member"}
    group = created["_id"]
    assert (await alice.wait_for("conversationCreated"))["_id"] == group

    for socket in (alice, bob):
        await socket.emit("joinRoom", {"conversationId": group})
        # Events of one socket are handled in order: after this acknowledgement the room is joined.
        await socket.call_ok("getOnlineUsers")
    await alice.emit(
        "sendMessage", {"conversationId": group, "content": "Hello World!", "type": "text", "tempId": "1700"}
    )
    for socket in (alice, bob):
        received = await socket.wait_for("newMessage")
        assert received["conversationId"] == group
        message = received["message"]
        assert message["sender"] == person(ann)
        assert (message["conversationId"], message["content"], message["type"]) == (
            group,
            "Hello World!",
            "text",
        )
        assert (message["status"], message["seq"], message["rev"]) == ("sent", 1, 1)
        assert is_time(message["createdAt"])
    sent = await alice.wait_for("messageSent")
    assert (sent["tempId"], sent["messageId"]) == ("1700", message["_id"])
    assert bob.events("messageSent") == []

    await bob.emit("typing", {"conversationId": group})
    typing = {"userId": ben.id, "conversationId": group, "username": ben.id}
    assert await alice.wait_for("userTyping") == typing
    await bob.emit("stopTyping", {"conversationId": group})
    assert await alice.wait_for("userStoppedTyping") == {"userId": ben.id, "conversationId": group}
    assert bob.events("userTyping") == bob.events("userStoppedTyping") == []

    await bob.emit("markAsRead", {"conversationId": group, "messageId": message["_id"]})
    read = await alice.wait_for("messageRead")
    assert (read["messageId"], read["conversationId"], read["readBy"]) == (message["_id"], group, ben.id)
    assert is_time(read["readAt"])
    await alice.emit("sendMessage", {"conversationId": group, "content": "Anyone?", "type": "text"})
    await bob.wait_for("newMessage", times=2)
    await bob.emit("markConversationAsRead", {"conversationId": group})
    all_read = await alice.wait_for("conversationRead")
    assert (all_read["conversationId"], all_read["readBy"]) == (group, ben.id)
    assert is_time(all_read["readAt"])

    before = len(alice.events("onlineUsers"))
    await alice.emit("getOnlineUsers")
    assert sorted(await alice.wait_for("onlineUsers", before + 1)) == [ann.id, ben.id]
    await bob.close()
    await eventually(lambda: [s for s in alice.events("userStatusChanged") if s["status"] == "offline"])
    gone = alice.events("userStatusChanged")[-1]
    assert (gone["userId"], gone["status"], is_time(gone["timestamp"])) == (ben.id, "offline", True)
    assert alice.contents() == ["Hello World!", "Anyone?"]


@pytest.mark.parametrize("transports", [["websocket"], ["polling"]], ids=["websocket", "polling"])
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
async def test_the_client_comes_back_by_itself_and_catches_up(
    program: Program, users: ChatUsers, stack: Stack, ending: signal.Signals, transports: list[str]
) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    alice = await program.connect(ann, users.url, GROUPS, ["websocket"], "alice")
    bob = await program.connect_elsewhere(ben, users.url, GROUPS, alice, transports)
    group = (await alice.call_ok("createConversation", {"type": "group", "participants": [ben.id]}))[
        "conversation"
    ]["_id"]
    for socket in (alice, bob):
        await socket.call_ok("joinRoom", {"conversationId": group})
    await alice.emit("sendMessage", {"conversationId": group, "content": "before"})
    held = await bob.wait_for("newMessage")

    struck = time.monotonic()
    gateway = f"gateway-{(await bob.inspect())['node'].removeprefix('g')}"
    stack.signal(gateway, ending)
    await bob.wait_for("disconnect")
    for number in range(3):
        await alice.call_ok("sendMessage", {"conversationId": group, "content": f"meanwhile {number}"})
    await bob.wait_for("connect", times=2, deadline=8 * SECONDS)
    away = time.monotonic() - struck
    joined = await bob.call_ok("joinRoom", {"conversationId": group})
    assert joined["conversationId"] == group
    await alice.wait_for("messageSent", times=4)
    answer = await bob.call_ok("sync", {"conversations": {group: held["message"]["rev"]}})
    await alice.emit("sendMessage", {"conversationId": group, "content": "after"})
    await eventually(lambda: "after" in bob.contents())

    changes = answer["conversations"][group]
    known = {held["message"]["_id"]: held["message"]}
    known |= {m["_id"]: m for m in changes["messages"]}
    known |= {p["message"]["_id"]: p["message"] for p in bob.events("newMessage")}
    stored = await ben.history(group)
    assert sorted((m["seq"], m["_id"], m["content"]) for m in known.values()) == [
        (m["seq"], m["_id"], m["content"]) for m in stored
    ]
    assert [m["content"] for m in stored] == ["before", *(f"meanwhile {n}" for n in range(3)), "after"]
    assert away < 6 * SECONDS, f"it was away for {away:.1f} s"
    await eventually(lambda: all(part.ready for part in stack.status()), 20 * SECONDS)


def bad_tokens(secret: str) -> dict[str, tuple[Any, str]]:
    hour = int(time.time()) + 3600
    return {
        "none": (None, "A token is required."),
        "no token": ("not.a.token", "The token is invalid."),
        "expired": (jwt.encode({"sub": "u", "exp": 1}, secret), "The token has expired."),
        "another key": (jwt.encode({"sub": "u", "exp": hour}, "x" * 40), "The token is invalid."),
        "no subject": (
            jwt.encode({"exp": hour}, secret),
            "The token has no valid user id in sub, userId or id.",
        ),
    }


@pytest.mark.parametrize("transports", [["polling"], ["websocket"]], ids=["polling", "websocket"])
async def test_a_bad_token_is_a_connect_error_with_its_reason(
    program: Program, users: ChatUsers, transports: list[str]
) -> None:
    for kind, (bad, why) in bad_tokens(users.secret).items():
        options = {"auth": {"token": bad}, "transports": transports}
        await program.command("open", kind, url=f"{users.url}/chat", options=options)
        mallory = JsSocket(program, kind)
        error = await mallory.wait_for("connect_error")
        assert error["message"] == why, kind
        assert error["data"] == {"code": "UNAUTHORIZED", "message": why, "retryable": False}, kind
        assert error["active"] is False, kind
        assert mallory.events("connect") == [], kind


async def test_an_acknowledgement_describes_the_error(program: Program, users: ChatUsers) -> None:
    alice = await program.connect(users.user("ann"), users.url, GROUPS, name="alice")
    answer = await program.command("ask", "alice", event="joinRoom", args=[{"conversationId": "nowhere"}])
    assert answer["success"] is False
    assert (answer["error"]["code"], answer["error"]["retryable"]) == ("NOT_FOUND", False)
    unknown = await program.command("ask", "alice", event="noSuchEvent", args=[])
    assert unknown["error"]["code"] == "UNKNOWN_EVENT"
    assert (await alice.inspect())["connected"] is True


async def test_every_event_has_its_fields(program: Program, users: ChatUsers) -> None:
    ann, ben, eve = users.user("ann"), users.user("ben"), users.user("eve")
    alice = await program.connect(ann, users.url, GROUPS)
    bob = await program.connect_elsewhere(ben, users.url, GROUPS, alice)

    answer = await alice.call_ok(
        "createConversation", {"type": "group", "name": "Plans", "participants": [ben.id]}
    )
    conversation = answer["conversation"]
    group = conversation["_id"]
    assert answer == {"success": True, "conversation": await bob.wait_for("conversationCreated")}
    assert conversation == {
        "_id": group,
        "type": "group",
        "name": "Plans",
        "participants": [{**person(ann), "role": "owner"}, {**person(ben), "role": "member"}],
        "participantCount": 2,
        "createdBy": ann.id,
        "createdAt": A_TIME,
        "lastActivityAt": A_TIME,
        "lastMessage": None,
        "lastSeq": 0,
        "rev": 0,
        "unreadCount": 0,
        "readSeq": 0,
    }
    for socket in (alice, bob):
        joined = await socket.call_ok("joinRoom", {"conversationId": group})
        assert joined == {"success": True, "conversationId": group, "seq": 0, "rev": 0, "epoch": 0}
        socket.mark_protocol_resolved()
    assert await alice.call_ok("sync", {"conversations": {group: 0}}) == {
        "success": True,
        "conversations": {group: {"rev": 0, "epoch": 0, "messages": []}},
    }

    name = str(uuid.uuid4())
    send = {"conversationId": group, "content": "Hi", "type": "text", "tempId": "t", "clientMessageId": name}
    accepted = await alice.call_ok("sendMessage", {**send, "replyTo": "m-0"})
    message = {
        "_id": A_UUID,
        "conversationId": group,
        "sender": person(ann),
        "content": "Hi",
        "type": "text",
        "status": "sent",
        "createdAt": A_TIME,
        "clientMessageId": name,
        "tempId": "t",
        "replyTo": "m-0",
    }
    assert accepted == {"success": True, "message": message}
    message_id = accepted["message"]["_id"]
    stored = {**accepted["message"], "seq": 1, "rev": 1, "epoch": AN_EPOCH}
    for socket in (alice, bob):
        assert await socket.wait_for("newMessage") == {"message": stored, "conversationId": group}
    assert await alice.wait_for("messageSent") == {
        "tempId": "t",
        "messageId": message_id,
        "conversationId": group,
        "clientMessageId": name,
        "seq": 1,
        "rev": 1,
        "epoch": AN_EPOCH,
    }
    assert await bob.wait_for("unreadCount") == {"conversationId": group, "unread": 1, "total": 1}

    ok = {"success": True}
    assert await bob.call_ok("markAsDelivered", {"conversationId": group, "seq": 1}) == ok
    delivered = {"conversationId": group, "deliveredTo": ben.id, "deliveredAt": A_TIME, "seq": 1}
    assert await alice.wait_for("messageDelivered") == delivered
    assert await bob.call_ok("markAsRead", {"conversationId": group, "messageId": message_id}) == ok
    read = {"conversationId": group, "readBy": ben.id, "readAt": A_TIME, "seq": 1}
    assert await alice.wait_for("messageRead") == {"messageId": message_id, **read}
    assert await bob.wait_for("unreadCount", 2) == {"conversationId": group, "unread": 0, "total": 0}
    assert await alice.call_ok("editMessage", {"messageId": message_id, "content": "Hello"}) == ok
    edited = {**stored, "content": "Hello", "rev": 2, "editedAt": A_TIME}
    assert await bob.wait_for("messageUpdated") == {"message": edited, "conversationId": group}
    assert await alice.call_ok("deleteMessage", {"messageId": message_id, "conversationId": group}) == ok
    gone = {"messageId": message_id, "conversationId": group, "seq": 1, "rev": 3, "deletedAt": A_TIME}
    assert await bob.wait_for("messageDeleted") == {**gone, "epoch": AN_EPOCH}
    synced = (await bob.call_ok("sync", {"conversations": {group: 1}}))["conversations"][group]
    tombstone = {**edited, "content": "", "rev": 3, "deletedAt": A_TIME, "status": "read"}
    assert synced == {"rev": 3, "epoch": AN_EPOCH, "messages": [tombstone]}

    await alice.call_ok("sendMessage", {"conversationId": group, "content": "Anyone?"})
    await bob.wait_for("newMessage", 2)
    assert await bob.call_ok("markConversationAsRead", {"conversationId": group}) == ok
    assert await alice.wait_for("conversationRead") == {**read, "seq": 2}
    assert await bob.call_ok("typing", {"conversationId": group}) == ok
    stopped = {"userId": ben.id, "conversationId": group}
    assert await alice.wait_for("userTyping") == {**stopped, "username": ben.id}
    assert await bob.call_ok("stopTyping", {"conversationId": group}) == ok
    assert await alice.wait_for("userStoppedTyping") == stopped
    asked = await alice.call_ok("getOnlineUsers")
    assert asked == {"success": True, "users": Sorted([ann.id, ben.id])}
    assert await alice.wait_for("onlineUsers", 2) == Sorted([ann.id, ben.id])
    assert await bob.call_ok("leaveRoom", {"conversationId": group}) == ok

    await bob.close()
    online = {"userId": ben.id, "status": "online", "timestamp": A_TIME}
    await alice.wait_for("userStatusChanged", 2)
    assert alice.events("userStatusChanged") == [online, {**online, "status": "offline"}]
    bob = await program.connect(ben, users.url, GROUPS)
    assert await alice.wait_for("userStatusChanged", 3) == online

    await ann.rest("POST", f"/chats/conversations/{group}/participants", {"participants": [eve.id]})
    nameless = {"_id": eve.id, "name": "", "username": ""}
    added = {"conversationId": group, "participants": [nameless], "addedBy": ann.id}
    assert await bob.wait_for("participantsAdded") == added
    await ben.rest("POST", f"/chats/conversations/{group}/leave", {})
    removed = {"conversationId": group, "userId": ben.id, "removedBy": ben.id, "newOwner": None}
    assert await bob.wait_for("participantRemoved") == removed
    assert await alice.wait_for("participantRemoved") == removed


async def test_every_route_answers_as_in_the_guide(program: Program, users: ChatUsers) -> None:
    ann, ben, eve = users.user("ann"), users.user("ben"), users.user("eve")
    alice = await program.connect(ann, users.url, GROUPS)
    bob = await program.connect_elsewhere(ben, users.url, GROUPS, alice)
    status, conversation = await ann.rest(
        "POST", "/chats/conversations", {"type": "group", "name": "Plans", "participants": [ben.id]}
    )
    assert status == 201
    assert await bob.wait_for("conversationCreated") == conversation
    group = conversation["_id"]
    for socket in (alice, bob):
        await socket.call_ok("joinRoom", {"conversationId": group})
    for content in ("one", "two"):
        await alice.call_ok("sendMessage", {"conversationId": group, "content": content})
    received = (await bob.wait_for("newMessage", 2))["message"]
    messages = [payload["message"] for payload in bob.events("newMessage")]

    last = {"_id": received["_id"], "seq": 2, "senderId": ann.id, "content": "two", "type": "text"}
    shown = {
        **conversation,
        "participants": [{**person(ann), "role": "owner"}, {**person(ben), "role": "member"}],
        "participantCount": 2,
        "lastActivityAt": received["createdAt"],
        "lastMessage": {**last, "createdAt": received["createdAt"]},
        "lastSeq": 2,
        "rev": 2,
        "unreadCount": 2,
    }
    page = {"conversations": [shown], "nextCursor": None}
    assert await ben.rest("GET", "/chats/conversations") == (200, page)
    assert await ben.rest("GET", f"/chats/conversations/{group}") == (200, shown)
    whole = {"messages": messages, "nextCursor": None}
    assert await ben.rest("GET", f"/chats/conversations/{group}/messages") == (200, whole)
    newest = {"messages": messages[1:], "nextCursor": "2"}
    assert await ben.rest("GET", f"/chats/conversations/{group}/messages", limit=1) == (200, newest)
    found = {"messages": messages[:1], "nextCursor": None}
    await eventually(lambda: answers(ben, "/search", found, q="one"))

    ok = {"success": True}
    assert await ben.rest("POST", f"/chats/conversations/{group}/read", {}) == (200, ok)
    read = await alice.wait_for("conversationRead")
    assert read == {"conversationId": group, "readBy": ben.id, "readAt": A_TIME, "seq": 2}
    assert await ben.unread(group) == 0
    status, marks = await ann.rest("GET", f"/chats/conversations/{group}/receipts")
    assert (status, {m["userId"]: m["readSeq"] for m in marks["receipts"]}) == (200, {ann.id: 0, ben.id: 2})
    status, people = await ann.rest("GET", f"/chats/conversations/{group}/participants")
    assert (status, [each["_id"] for each in people["participants"]]) == (200, [ann.id, ben.id])
    one = (await ben.rest("GET", f"/chats/conversations/{group}"))[1]
    assert (one["readSeq"], one["participantCount"]) == (2, 2)
    assert await ann.rest("DELETE", f"/chats/messages/{received['_id']}") == (200, ok)
    assert (await bob.wait_for("messageDeleted"))["messageId"] == received["_id"]

    body = {"participants": [eve.id]}
    status, grown = await ann.rest("POST", f"/chats/conversations/{group}/participants", body)
    assert (status, [p["_id"] for p in grown["participants"]]) == (200, [ann.id, ben.id, eve.id])
    await bob.wait_for("participantsAdded")
    gone = await ann.rest("DELETE", f"/chats/conversations/{group}/participants/{eve.id}")
    assert gone == (200, ok)
    assert (await bob.wait_for("participantRemoved"))["removedBy"] == ann.id
    assert await ben.rest("POST", f"/chats/conversations/{group}/leave", {}) == (200, ok)
    assert (await ben.rest("GET", f"/chats/conversations/{group}"))[0] == 404


async def answers(user: User, path: str, expected: Any, **query: Any) -> bool:
    return await user.rest("GET", path, **query) == (200, expected)


async def test_a_send_that_another_contradicts_is_rejected(program: Program, users: ChatUsers) -> None:
    ann = users.user("ann")
    one = await program.connect(ann, users.url, GROUPS)
    other = await program.connect_elsewhere(ann, users.url, GROUPS, one)
    body = {"type": "group", "participants": [users.user("ben").id]}
    group = (await one.call_ok("createConversation", body))["conversation"]["_id"]
    name = str(uuid.uuid4())
    wish = {"conversationId": group, "clientMessageId": name, "tempId": "t"}
    first = (await one.call_ok("sendMessage", {**wish, "content": "the first"}))["message"]
    await other.call_ok("sendMessage", {**wish, "content": "the second"})
    why = "Another message was sent with this clientMessageId."
    for socket in (one, other):
        assert await socket.wait_for("messageRejected") == {
            "conversationId": group,
            "messageId": first["_id"],
            "clientMessageId": name,
            "tempId": "t",
            "error": {"code": "CONFLICT", "message": why, "retryable": False},
        }
    again = await other.call_ok("sendMessage", {**wish, "content": "the first"})
    assert again["message"]["_id"] == first["_id"]


async def test_a_send_that_cannot_be_stored_has_failed(
    program: Program, users: ChatUsers, stack: Stack
) -> None:
    ann = users.user("ann")
    alice = await program.connect(ann, users.url, GROUPS)
    body = {"type": "group", "participants": [users.user("ben").id]}
    group = (await alice.call_ok("createConversation", body))["conversation"]["_id"]
    bad = await send_unstorable(stack, ann, group)
    failed = await alice.wait_for("messageFailed")
    assert failed == {
        "conversationId": group,
        "messageId": bad,
        "clientMessageId": None,
        "tempId": None,
        "error": {"code": failed["error"]["code"], "message": failed["error"]["message"], "retryable": False},
    }
    await clear_away(stack)


async def test_a_fresh_token_keeps_the_socket(program: Program, users: ChatUsers) -> None:
    ann = users.user("ann")
    socket = await program.connect(ann, users.url, GROUPS)

    renewed = await socket.call_ok("reauthenticate", {"token": fresh(users.secret, ann.id)})

    assert renewed == {"success": True, "expiresAt": A_TIME}
    assert (await socket.inspect())["connected"] is True
