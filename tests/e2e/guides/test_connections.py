"""The connections guide's own sequence with the JavaScript client, through nginx on two gateways."""

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
from parley.gateway.protocols.connections import CONNECTIONS
from parley.shared.search_index import INDEXED
from parley.stack import Stack

LIST = "/chat/conversations"
"""A time before the year 1 in UTC, which no MongoDB driver can write."""


def person(user: User) -> dict[str, Any]:
    return {"id": user.id, "name": user.id.title(), "username": user.id}


def message(sender: User, conversation_id: str, content: str, **more: Any) -> dict[str, Any]:
    return {
        "id": A_UUID,
        "conversationId": conversation_id,
        "senderId": sender.id,
        "sender": person(sender),
        "senderName": sender.id.title(),
        "type": "file" if "attachments" in more else "text",
        "content": content,
        "isRead": False,
        "createdAt": A_TIME,
        "updatedAt": A_TIME,
        **more,
    }


def conversation(one: User, other: User, **more: Any) -> dict[str, Any]:
    return {
        "id": A_UUID,
        "participant1Id": one.id,
        "participant2Id": other.id,
        "participant1": {**person(one), "avatar": None},
        "participant2": {**person(other), "avatar": None},
        "lastMessage": None,
        "lastMessageAt": None,
        "createdAt": A_TIME,
        "updatedAt": A_TIME,
        "unreadCount": 0,
        **more,
    }


async def start(one: User, other: User) -> str:
    """Create the users' direct conversation, once both have tokens with names; return its id."""
    assert await other.rest("GET", "/chat/unread-count") == (200, {"count": 0})
    status, started = await one.rest("POST", LIST, {"participantId": other.id})
    assert status == 201
    return str(started["id"])


async def both(program: Program, users: ChatUsers) -> tuple[JsSocket, JsSocket]:
    """Connect sockets of ann and ben to two gateways."""
    alice = await program.connect(users.user("ann"), users.url, CONNECTIONS)
    return alice, await program.connect_elsewhere(users.user("ben"), users.url, CONNECTIONS, alice)


async def join(conversation_id: str, *sockets: JsSocket) -> None:
    """Select each socket's protocol by an event that only its guide has."""
    for socket in sockets:
        await socket.call_ok("joinConversation", {"conversationId": conversation_id})
        socket.mark_protocol_resolved()


async def sent_message(socket: JsSocket, conversation_id: str, *contents: str) -> list[dict[str, Any]]:
    """Return the messages as received, once they have their numbers."""
    for content in contents:
        await socket.call_ok("sendMessage", {"conversationId": conversation_id, "content": content})
    received = [
        await eventually(lambda c=c: [m for m in socket.events("message") if m["content"] == c])
        for c in contents
    ]
    return [found[0] for found in received]


@pytest.mark.parametrize(
    "transports", [None, ["websocket"], ["polling"]], ids=["upgraded", "websocket", "polling"]
)
async def test_the_guide_s_own_sequence(
    program: Program, users: ChatUsers, transports: list[str] | None
) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    alice = await program.connect(ann, users.url, CONNECTIONS, transports)
    bob = await program.connect_elsewhere(ben, users.url, CONNECTIONS, alice, transports)

    status, created = await ann.rest("POST", LIST, {"participantId": ben.id})
    assert (status, created) == (201, conversation(ann, ben))
    for socket, other in ((alice, ben), (bob, ann)):
        assert await socket.wait_for("conversationCreated") == created
        assert await socket.wait_for("userOnline") == {"userId": other.id}
    talk = created["id"]
    of = {"conversationId": talk}
    for socket in (alice, bob):
        assert await socket.call_ok("joinConversation", of) == {"success": True, **of, "seq": 0, "rev": 0}
        socket.mark_protocol_resolved()

    for times, is_typing in ((1, True), (2, False)):
        await alice.emit("typing", {**of, "isTyping": is_typing})
        assert await bob.wait_for("typing", times) == {**of, "userId": ann.id, "isTyping": is_typing}

    await alice.emit("sendMessage", {**of, "content": "Hello!"})
    for socket in (alice, bob):
        assert await socket.wait_for("message") == message(ann, talk, "Hello!", seq=1, rev=1)
    hello = (await bob.wait_for("message"))["id"]
    assert await bob.wait_for("unreadCount") == {**of, "unreadCount": 1, "count": 1}
    assert await ben.rest("GET", "/chat/unread-count") == (200, {"count": 1})
    name = str(uuid.uuid4())
    sent = await alice.call_ok("sendMessage", {**of, "content": "Anyone?", "clientMessageId": name})
    second = message(ann, talk, "Anyone?", clientMessageId=name)
    assert sent == {"success": True, "message": second}
    assert await bob.wait_for("message", 2) == {**second, "id": sent["message"]["id"], "seq": 2, "rev": 2}
    assert await bob.wait_for("unreadCount", 2) == {**of, "unreadCount": 2, "count": 2}

    assert await bob.call_ok("markAsRead", {"messageId": hello}) == {"success": True}
    read = {**of, "messageId": hello, "userId": ben.id, "readAt": A_TIME, "seq": 1}
    for socket in (alice, bob):
        assert await socket.wait_for("messageRead") == read
    assert await bob.wait_for("unreadCount", 3) == {**of, "unreadCount": 1, "count": 1}
    status, history = await ann.rest("GET", f"{LIST}/{talk}/messages")
    assert (status, history) == (
        200,
        [
            message(ann, talk, "Hello!", seq=1, rev=1, isRead=True, id=hello),
            message(ann, talk, "Anyone?", seq=2, rev=2, clientMessageId=name, id=sent["message"]["id"]),
        ],
    )

    last = {
        "id": sent["message"]["id"],
        "seq": 2,
        "senderId": ann.id,
        "content": "Anyone?",
        "createdAt": sent["message"]["createdAt"],
    }
    shown = conversation(ann, ben, id=talk, lastMessage=last, lastMessageAt=last["createdAt"])
    assert await ben.rest("GET", LIST) == (200, [{**shown, "unreadCount": 1}])
    assert await ann.rest("GET", LIST) == (200, [shown])
    assert alice.events("typing") == alice.events("unreadCount") == []

    await bob.close()
    assert await alice.wait_for("userOffline") == {"userId": ben.id}
    again = await program.connect_elsewhere(ben, users.url, CONNECTIONS, alice, transports)
    await alice.wait_for("userOnline", 2)
    assert alice.events("userOnline") == [{"userId": ben.id}] * 2
    assert await again.wait_for("userOnline") == {"userId": ann.id}


async def test_a_connecting_user_receives_each_online_contact_once(
    program: Program, users: ChatUsers
) -> None:
    ann, ben, cid, dan = (users.user(name) for name in ("ann", "ben", "cid", "dan"))
    for other in (ben, cid, dan):
        await start(ann, other)
    bob = await program.connect(ben, users.url, CONNECTIONS)
    carl = await program.connect_elsewhere(cid, users.url, CONNECTIONS, bob)

    alice = await program.connect(ann, users.url, CONNECTIONS)

    for socket in (bob, carl):
        assert await socket.wait_for("userOnline") == {"userId": ann.id}
    await alice.wait_for("userOnline", 2)
    await alice.call_ok(
        "markAsRead", {"messageId": (await sent_message(alice, await start(ann, ben), "hello"))[0]["id"]}
    )
    assert sorted(received["userId"] for received in alice.events("userOnline")) == sorted([ben.id, cid.id])
    assert bob.events("userOnline") == carl.events("userOnline") == [{"userId": ann.id}]


async def test_a_message_reaches_every_socket_of_every_member_joined_or_not(
    program: Program, users: ChatUsers
) -> None:
    talk = await start(users.user("ann"), users.user("ben"))
    alice, bob = await both(program, users)
    alice_2, bob_2 = await both(program, users)
    await join(talk, alice, bob)
    await bob.call_ok("leaveConversation", {"conversationId": talk})

    await sent_message(alice, talk, "one", "two")

    for socket in (alice, alice_2, bob, bob_2):
        await socket.wait_for("message", 2)
        assert [m["content"] for m in socket.events("message")] == ["one", "two"]


async def test_typing_reaches_the_sockets_of_other_users_only(program: Program, users: ChatUsers) -> None:
    talk = await start(users.user("ann"), users.user("ben"))
    alice, bob = await both(program, users)
    alice_2, bob_2 = await both(program, users)

    assert await alice.call_ok("typing", {"conversationId": talk, "isTyping": True}) == {"success": True}

    for socket in (bob, bob_2):
        received = await socket.wait_for("typing")
        assert received == {"userId": users.user("ann").id, "isTyping": True, "conversationId": talk}
        # Typing that is not renewed expires by itself.
        assert await socket.wait_for("typing", 2) == {**received, "isTyping": False}
    assert alice.events("typing") == alice_2.events("typing") == []


async def test_creating_a_direct_conversation_twice_returns_the_same_one(
    program: Program, users: ChatUsers
) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    talk = await start(ann, ben)
    alice, bob = await both(program, users)

    assert await ben.rest("POST", LIST, {"participantId": ann.id}) == (201, conversation(ann, ben, id=talk))
    assert await start(ann, ben) == talk
    await sent_message(alice, talk, "hello")
    await bob.wait_for("message")

    assert alice.events("conversationCreated") == bob.events("conversationCreated") == []
    assert [c["id"] for c in (await ben.rest("GET", LIST))[1]] == [talk]


async def test_a_read_mark_by_rest_is_broadcast_and_shown(program: Program, users: ChatUsers) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    talk = await start(ann, ben)
    alice, bob = await both(program, users)
    first, second = await sent_message(alice, talk, "one", "two")
    await bob.wait_for("unreadCount", 1)

    for _ in range(2):
        assert await ben.rest("PUT", f"/chat/messages/{second['id']}/read") == (
            200,
            {**second, "isRead": True},
        )

    read = {"conversationId": talk, "messageId": second["id"], "userId": ben.id, "readAt": A_TIME, "seq": 2}
    assert await alice.wait_for("messageRead") == read
    await eventually(lambda: (bob.events("unreadCount") or [{}])[-1].get("count") == 0)
    assert await ben.rest("GET", "/chat/unread-count") == (200, {"count": 0})
    assert await ben.rest("PUT", f"/chat/messages/{first['id']}/read") == (200, {**first, "isRead": True})
    assert alice.events("messageRead") == [read]


async def test_the_count_is_of_all_conversations(program: Program, users: ChatUsers) -> None:
    ann, ben, cid = (users.user(name) for name in ("ann", "ben", "cid"))
    of_ann, of_cid = await start(ann, ben), await start(cid, ben)
    alice, bob = await both(program, users)
    carl = await program.connect(cid, users.url, CONNECTIONS)
    await sent_message(alice, of_ann, "one", "two")
    await sent_message(carl, of_cid, "three")

    reported = await eventually(lambda: [u for u in bob.events("unreadCount") if u["count"] == 3])
    assert {**reported[0], "unreadCount": 0} in [
        {"conversationId": c, "unreadCount": 0, "count": 3} for c in (of_ann, of_cid)
    ]
    assert await ben.rest("GET", "/chat/unread-count") == (200, {"count": 3})
    listed = (await ben.rest("GET", LIST))[1]
    assert [(c["id"], c["unreadCount"]) for c in listed] == [(of_cid, 1), (of_ann, 2)]


async def test_history_is_paged_by_number_by_message_and_by_page(program: Program, users: ChatUsers) -> None:
    ann = users.user("ann")
    talk = await start(ann, users.user("ben"))
    alice = await program.connect(ann, users.url, CONNECTIONS)
    texts = [str(number) for number in range(1, 104)]
    for text in texts:
        await alice.emit("sendMessage", {"conversationId": talk, "content": text})
    await alice.wait_for("message", len(texts))

    async def page(**query: Any) -> list[str]:
        status, messages = await ann.rest("GET", f"{LIST}/{talk}/messages", **query)
        assert status == 200, messages
        return [m["content"] for m in messages]

    assert await page() == texts[-100:]
    assert await page(limit=5) == texts[-5:]
    assert await page(limit=5, page=2) == texts[-10:-5]
    assert await page(page=2) == texts[:3]
    assert await page(page=3) == []
    assert await page(limit=3, before=10) == texts[6:9]
    assert await page(limit=3, before=alice.events("message")[9]["id"]) == texts[6:9]
    assert await page(limit=3, before=10, page=2) == texts[3:6]
    assert await page(before=1) == await page(before=0) == []


async def test_the_list_is_paged(users: ChatUsers) -> None:
    ann = users.user("ann")
    started = [await start(ann, users.user(name)) for name in ("ben", "cid", "dan")]

    async def page(**query: Any) -> list[str]:
        status, conversations = await ann.rest("GET", LIST, **query)
        assert status == 200, conversations
        return [c["id"] for c in conversations]

    everything = await page()
    assert sorted(everything) == sorted(started)
    assert await page(limit=2) == everything[:2]
    assert await page(limit=2, page=2) == everything[2:]
    assert await page(limit=2, page=3) == []


async def test_an_edit_and_a_deletion_are_broadcast_and_stored(program: Program, users: ChatUsers) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    talk = await start(ann, ben)
    alice, bob = await both(program, users)
    await join(talk, alice, bob)
    (first,) = await sent_message(alice, talk, "colour")

    assert await alice.call_ok("editMessage", {"messageId": first["id"], "content": "color"}) == {
        "success": True
    }
    changed = {**message(ann, talk, "color", seq=1, rev=2, id=first["id"]), "editedAt": A_TIME}
    del changed["isRead"]
    for socket in (alice, bob):
        updated = await socket.wait_for("messageUpdated")
        assert updated == changed
        assert updated["updatedAt"] == updated["editedAt"] != updated["createdAt"]
    assert await alice.call_ok("deleteMessage", {"messageId": first["id"]}) == {"success": True}
    about = {"conversationId": talk, "messageId": first["id"]}
    for socket in (alice, bob):
        deleted = await socket.wait_for("messageDeleted")
        assert deleted == {**about, "seq": 1, "rev": 3, "deletedAt": A_TIME}
    (kept,) = (await ben.rest("GET", f"{LIST}/{talk}/messages"))[1]
    assert kept == message(
        ann, talk, "", seq=1, rev=3, id=first["id"], editedAt=A_TIME, deletedAt=deleted["deletedAt"]
    )
    assert kept["updatedAt"] == deleted["deletedAt"]


async def test_a_retry_is_one_message_and_other_content_by_its_name_is_rejected(
    program: Program, users: ChatUsers, database: Any
) -> None:
    ann = users.user("ann")
    talk = await start(ann, users.user("ben"))
    one = await program.connect(ann, users.url, CONNECTIONS)
    other = await program.connect_elsewhere(ann, users.url, CONNECTIONS, one)
    await join(talk, one, other)
    retried, taken = ({"conversationId": talk, "clientMessageId": str(uuid.uuid4())} for _ in range(2))
    first = [(await one.call_ok("sendMessage", {**retried, "content": "first"}))["message"]]
    await one.wait_for("message")
    first.append((await other.call_ok("sendMessage", {**retried, "content": "first"}))["message"])
    assert first[0]["id"] == first[1]["id"]

    second = (await one.call_ok("sendMessage", {**taken, "content": "second"}))["message"]
    await one.wait_for("message", 2)
    await other.call_ok("sendMessage", {**taken, "content": "third"})

    rejected = await other.wait_for("messageRejected")
    assert rejected == {
        **taken,
        "messageId": second["id"],
        "error": {"code": "CONFLICT", "message": rejected["error"]["message"], "retryable": False},
    }
    assert [m["content"] for m in other.events("message")] == ["first", "second"]
    assert [m["content"] for m in (await stored(database, talk))[2]] == ["first", "second"]


async def test_a_message_that_cannot_be_stored_is_reported_to_its_sender(
    program: Program, users: ChatUsers, stack: Stack
) -> None:
    ann = users.user("ann")
    talk = await start(ann, users.user("ben"))
    alice, bob = await both(program, users)
    await join(talk, alice, bob)
    bad = await send_unstorable(stack, ann, talk)

    failed = await alice.wait_for("messageFailed")
    assert failed == {
        "conversationId": talk,
        "messageId": bad,
        "clientMessageId": None,
        "error": {"code": failed["error"]["code"], "message": failed["error"]["message"], "retryable": False},
    }
    await sent_message(alice, talk, "good")
    await bob.wait_for("message")
    assert bob.events("messageFailed") == []
    await clear_away(stack)


async def test_an_upload_goes_along_with_a_message(program: Program, users: ChatUsers) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    talk = await start(ann, ben)
    alice, bob = await both(program, users)
    await join(talk, alice, bob)
    file = await attached(users.url, ann, b"an offer", "offer.txt")

    await alice.call_ok("sendMessage", {"conversationId": talk, "attachments": [file["id"]]})

    assert file == {
        "id": A_UUID,
        "name": "offer.txt",
        "size": 8,
        "type": "text/plain",
        "url": f"/attachments/{file['id']}",
    }
    assert await bob.wait_for("message") == message(ann, talk, "", seq=1, rev=1, attachments=[file])


async def test_a_group_shows_with_its_creator_and_another(program: Program, users: ChatUsers) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    alice, bob = await both(program, users)
    owner = await ann.socket()
    group = await users.group(owner, "ben")
    for socket in (alice, bob):
        assert await socket.wait_for("conversationCreated") == conversation(ann, ben, id=group)
    await owner.send(group, "from another guide")
    for socket in (alice, bob):
        assert await socket.wait_for("message") == message(ann, group, "from another guide", seq=1, rev=1)
    (shown,) = (await ben.rest("GET", LIST))[1]
    assert (shown["participant1Id"], shown["participant2Id"], shown["unreadCount"]) == (ann.id, ben.id, 1)

    assert (await ben.rest("POST", f"/chats/conversations/{group}/leave"))[0] == 200

    (shown,) = (await ann.rest("GET", LIST))[1]
    assert (shown["participant1Id"], shown["participant2Id"], shown["participant2"]) == (ann.id, None, None)


OF_CONVERSATION: dict[str, dict[str, Any]] = {
    "sendMessage": {"content": "hello"},
    "typing": {"isTyping": True},
    "joinConversation": {},
}
OF_MESSAGE: dict[str, dict[str, Any]] = {
    "markAsRead": {},
    "editMessage": {"content": "hello"},
    "deleteMessage": {},
}


async def test_other_users_conversations_look_like_missing_ones(
    program: Program, users: ChatUsers, database: Any
) -> None:
    ann, eve = users.user("ann"), users.user("eve")
    talk = await start(ann, users.user("ben"))
    alice = await program.connect(ann, users.url, CONNECTIONS)
    (theirs,) = await sent_message(alice, talk, "secret")
    mallory = await program.connect(eve, users.url, CONNECTIONS)
    before = await stored(database, talk)

    for event, more in OF_CONVERSATION.items():
        answers = [
            await mallory.call(event, {"conversationId": c, **more}) for c in (talk, str(uuid.uuid4()))
        ]
        refusal(answers[0], "NOT_FOUND")
        assert answers[0] == answers[1]
    for event, more in OF_MESSAGE.items():
        answers = [
            await mallory.call(event, {"messageId": m, **more}) for m in (theirs["id"], str(uuid.uuid4()))
        ]
        refusal(answers[0], "NOT_FOUND")
        assert answers[0] == answers[1]
    for method, path, ids in (
        ("GET", LIST + "/{}/messages", (talk, "nowhere")),
        ("PUT", "/chat/messages/{}/read", (theirs["id"], "none")),
    ):
        answered = [await eve.rest(method, path.format(each)) for each in ids]
        assert answered[0] == answered[1]
        assert answered[0][0] == 404
        refusal(answered[0][1], "NOT_FOUND")
    of_other = await start(ann, eve)
    refused = await eve.rest("GET", f"{LIST}/{of_other}/messages", before=theirs["id"])
    assert refused == await eve.rest("GET", f"{LIST}/{of_other}/messages", before=str(uuid.uuid4()))
    assert refused[0] == 404
    assert await stored(database, talk) == before
    assert mallory.events("message") == alice.events("typing") == []


BAD_WORDS: list[tuple[str, dict[str, Any], str]] = [
    ("sendMessage", {"content": "hello"}, "conversationId"),
    ("sendMessage", {"content": " "}, "content"),
    ("sendMessage", {"content": "x" * 8_001}, "content"),
    ("sendMessage", {"content": 7}, "content"),
    ("sendMessage", {"content": "x", "clientMessageId": "x"}, "clientMessageId"),
    ("sendMessage", {"content": "x", "attachments": "x"}, "attachments"),
    ("sendMessage", {}, "content"),
    ("sendMessage", {"content": "x", "text": "x"}, "text"),
    ("typing", {}, "isTyping"),
    ("typing", {"isTyping": "yes"}, "isTyping"),
    ("joinConversation", {"conversationId": 7}, "conversationId"),
    ("joinConversation", {"room": "x"}, "room"),
    ("leaveConversation", {"conversationId": ""}, "conversationId"),
    ("markAsRead", {}, "messageId"),
    ("markAsRead", {"messageId": ["x"]}, "messageId"),
    ("editMessage", {"messageId": "x"}, "content"),
    ("deleteMessage", {"messageId": None}, "messageId"),
]


async def test_an_invalid_payload_is_refused_by_field_and_changes_nothing(
    program: Program, users: ChatUsers, database: Any
) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    talk = await start(ann, ben)
    alice = await program.connect(ann, users.url, CONNECTIONS)
    await join(talk, alice)
    before = await stored(database, talk)

    for event, payload, field in BAD_WORDS:
        of_talk = event in ("sendMessage", "typing", "joinConversation") and field != "conversationId"
        sent = {"conversationId": talk, **payload} if of_talk else payload
        error = refusal(await alice.call(event, sent), "INVALID")
        assert field in error["details"], (event, payload, error)
        assert error["message"].startswith(f"{field}: "), error
    for payload in ("text", ["a", "b"], 7):
        refusal(await alice.call("sendMessage", payload), "INVALID")

    for body, field in (
        ({}, "participantId"),
        ({"participantId": ann.id}, "participantId"),
        ({"participantId": ["x"]}, "participantId"),
        ({"participantId": ben.id, "name": "x"}, "name"),
    ):
        status, answer = await ann.rest("POST", LIST, body)
        assert (status, list(refusal(answer, "INVALID")["details"])) == (400, [field])
    for path, name, value in (
        (LIST, "limit", "101"),
        (LIST, "page", "0"),
        (f"{LIST}/{talk}/messages", "limit", "many"),
        (f"{LIST}/{talk}/messages", "page", "9" * 30),
        (f"{LIST}/{talk}/messages", "before", "x" * 129),
    ):
        status, answer = await ann.rest("GET", path, **{name: value})
        assert (status, list(refusal(answer, "INVALID")["details"])) == (400, [name])
    for path, unknown in ((f"{LIST}/{talk}/messages", "after"), ("/chat/unread-count", "of")):
        assert (await ann.rest("GET", path, **{unknown: "1"}))[0] == 200
    assert (await ann.rest("GET", f"{LIST}/{talk}/messages", before="9" * 30))[0] == 404
    assert await stored(database, talk) == before


async def stored(database: Any, conversation_id: str) -> list[Any]:
    """Return all documents of a conversation, without the mark of the search index, which comes later."""
    return [
        await database.conversations.find({"_id": conversation_id}, {INDEXED: 0}).to_list(None),
        await database.memberships.find({"conversationId": conversation_id}).to_list(None),
        await database.messages.find({"conversationId": conversation_id}).to_list(None),
    ]


async def test_a_fresh_token_keeps_the_socket(program: Program, users: ChatUsers) -> None:
    ann = users.user("ann")
    socket = await program.connect(ann, users.url, CONNECTIONS)

    renewed = await socket.call_ok("reauthenticate", {"token": fresh(users.secret, ann.id)})

    assert renewed == {"success": True, "expiresAt": A_TIME}
    assert (await socket.inspect())["connected"] is True
