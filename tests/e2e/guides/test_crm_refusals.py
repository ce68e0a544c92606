"""Events and routes of the CRM protocol refuse bad input with a described error."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from clients.chat import ChatUsers, User
from clients.crm import chat_of, in_room, refused, speaker
from clients.javascript import JsSocket, Program
from clients.poison import clear_away, send_unstorable
from parley.stack import Stack

NO_CHAT = refused("NOT_FOUND", "There is no such conversation.")
NO_MESSAGE = refused("NOT_FOUND", "There is no such message.")
NOT_IDS: list[Any] = [None, True, 1.5, [], {"$ne": ""}, "", "x" * 129, "a\x00b"]
NOT_TEXTS: list[Any] = [None, True, 5, ["x"], {}, "", "   ", "x" * 8_001]
NOT_FLAGS: list[Any] = [None, "yes", "true", 2, [], {}]
NOT_UUIDS: list[Any] = ["", "x", 5, {}]
NOT_COUNTS = ["0", "-1", "101", "1.5", "x", "9" * 400]


class Business:
    """Ann's chat with Ben, and a chat of Cid's with one message, of which Ann is not a member."""

    def __init__(self, users: ChatUsers) -> None:
        self.ann, self.ben, self.cid = (users.user(name) for name in ("ann", "ben", "cid"))
        self.one: JsSocket
        self.chat = self.others = self.message_id = ""

    async def open(self, program: Program, users: ChatUsers) -> None:
        self.chat, self.others = await chat_of(self.ann, self.ben), await chat_of(self.cid, self.ben)
        body = {"chatId": self.others, "content": "between us"}
        status, answer = await self.cid.rest("POST", "/chat-messages", body)
        assert status == 201
        self.message_id = answer["data"]["id"]
        (self.one,) = await in_room(program, users, self.chat, self.ann)

    async def is_unchanged(self) -> None:
        """Check that the socket still works, and that no message but Cid's was stored."""
        assert await self.one.call_ok("leaveChat", {"chatId": self.chat}) == {
            "success": True,
            "message": f"Left chat {self.chat}",
        }
        assert (await self.ann.rest("GET", "/chat-messages", chatId=self.chat))[1]["total"] == 0
        page = (await self.cid.rest("GET", "/chat-messages", chatId=self.others))[1]
        shown = [(m["message"], m["rev"], m["isRead"]) for m in page["data"]]
        assert shown == [("between us", 1, False)]


@pytest.fixture
async def business(program: Program, users: ChatUsers) -> AsyncIterator[Business]:
    business = Business(users)
    await business.open(program, users)
    yield business
    await business.is_unchanged()


def of_chat(chat: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("joinChat", {"chatId": chat}),
        ("sendMessage", {"chatId": chat, "content": "hello"}),
        ("typing", {"chatId": chat, "isTyping": True}),
    ]


def of_message(chat: str, message: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("markAsRead", {"chatId": chat, "messageId": message}),
        ("updateMessage", {"messageId": message, "content": "hello"}),
        ("updateMessage", {"chatId": chat, "messageId": message, "content": "hello"}),
        ("deleteMessage", {"messageId": message}),
        ("deleteMessage", {"chatId": chat, "messageId": message}),
    ]


async def test_other_users_conversations_look_like_missing_ones(business: Business) -> None:
    nowhere = str(uuid.uuid4()), str(uuid.uuid4())
    for chat, message in ((business.others, business.message_id), nowhere):
        for event, wish in of_chat(chat):
            assert await business.one.call(event, wish) == NO_CHAT, event
        for event, wish in of_message(chat, message):
            assert await business.one.call(event, wish) == NO_MESSAGE, event
        left = await business.one.call_ok("leaveChat", {"chatId": chat})
        assert left == {"success": True, "message": f"Left chat {chat}"}


async def test_so_it_does_by_rest(business: Business) -> None:
    ann, content = business.ann, {"content": "hello"}
    nowhere = str(uuid.uuid4()), str(uuid.uuid4())
    for chat, message in ((business.others, business.message_id), nowhere):
        assert await ann.rest("POST", "/chat-messages", {"chatId": chat, **content}) == (404, NO_CHAT)
        assert await ann.rest("GET", "/chat-messages", chatId=chat) == (404, NO_CHAT)
        before = {"chatId": business.chat, "before": message}
        assert await ann.rest("GET", "/chat-messages", **before) == (404, NO_MESSAGE)
        path = f"/chat-messages/{message}"
        for method, body in (("GET", None), ("PATCH", content), ("PUT", content), ("DELETE", None)):
            assert await ann.rest(method, path, body) == (404, NO_MESSAGE), method


def wrong(chat: str) -> list[tuple[str, dict[str, Any], str]]:
    """Bad events: name, payload, and the field that the error names."""
    of_one = {"chatId": chat, "messageId": "x"}
    words: dict[str, dict[str, Any]] = {
        "joinChat": {},
        "leaveChat": {},
        "sendMessage": {"content": "hello"},
        "typing": {"isTyping": True},
        "markAsRead": {"messageId": "x"},
    }
    return [
        *((event, {**more, "chatId": bad}, "chatId") for event, more in words.items() for bad in NOT_IDS),
        *((event, more, "chatId") for event, more in words.items()),
        *((event, {**more, "chatId": chat, "x": 1}, "x") for event, more in words.items()),
        *(("markAsRead", {**of_one, "messageId": bad}, "messageId") for bad in NOT_IDS),
        *(("deleteMessage", {"messageId": bad}, "messageId") for bad in NOT_IDS),
        *(("updateMessage", {"messageId": bad, "content": "x"}, "messageId") for bad in NOT_IDS),
        *(("sendMessage", {"chatId": chat, "content": bad}, "content") for bad in NOT_TEXTS),
        ("sendMessage", {"chatId": chat}, "content"),
        ("sendMessage", {"chatId": chat, "content": "a", "message": "a"}, "message"),
        ("updateMessage", {**of_one, "content": "a", "message": "b"}, "message"),
        ("updateMessage", of_one, "content"),
        *(("sendMessage", {"chatId": chat, "content": "a", "clientMessageId": bad}, "clientMessageId")
          for bad in NOT_UUIDS),
        ("sendMessage", {"chatId": chat, "attachments": ["x"] * 11}, "attachments"),
        *(("typing", {"chatId": chat, "isTyping": bad}, "isTyping") for bad in NOT_FLAGS),
        ("authenticate", {"token": "x"}, "token"),
        ("ping", {"x": 1}, "x"),
    ]  # fmt: skip


async def test_a_bad_payload_is_refused_by_its_field(business: Business) -> None:
    for event, payload, field in wrong(business.chat):
        answer = await business.one.call(event, payload)
        assert set(answer) == {"success", "message", "error"}, (event, payload, answer)
        assert answer["error"]["code"] == "INVALID", (event, payload, answer)
        assert answer["message"] == answer["error"]["message"]
        assert list(answer["error"]["details"]) == [field], (event, payload, answer)
    for payload in (["x"], "x", 5):
        answer = await business.one.call("joinChat", payload)
        assert answer == refused("INVALID", "The payload must be one object.")
    assert await business.one.call("noSuchEvent") == refused(
        "UNKNOWN_EVENT", "There is no event 'noSuchEvent'."
    )


async def test_so_it_is_by_rest(business: Business) -> None:
    bad: list[tuple[str, str, Any, dict[str, Any], str]] = [
        ("POST", "", {"chatId": business.chat}, {}, "content"),
        ("POST", "", {"content": "hello"}, {}, "chatId"),
        ("POST", "", {"chatId": business.chat, "content": "a", "message": "a"}, {}, "message"),
        ("POST", "", {"chatId": business.chat, "content": "a", "x": 1}, {}, "x"),
        ("PATCH", "/x", {}, {}, "content"),
        ("PUT", "/x", {"content": ["x"]}, {}, "content"),
        ("GET", "", None, {}, "chatId"),
        *(("GET", "", None, {"chatId": business.chat, "limit": n}, "limit") for n in NOT_COUNTS),
        *(("GET", "", None, {"chatId": business.chat, "page": n}, "page") for n in NOT_COUNTS if n != "101"),
        ("GET", f"/{'x' * 129}", None, {}, "messageId"),
        ("DELETE", f"/{'x' * 129}", None, {}, "messageId"),
    ]
    assert (await business.ann.rest("GET", "/chat-messages", chatId=business.chat, x="1"))[0] == 200
    for method, path, body, query, field in bad:
        status, answer = await business.ann.rest(method, f"/chat-messages{path}", body, **query)
        assert (status, answer["error"]["code"]) == (400, "INVALID"), (method, path, body, query, answer)
        assert set(answer) == {"success", "message", "error"}
        assert list(answer["error"]["details"]) == [field], (method, path, body, query, answer)


async def test_rest_wants_a_token(users: ChatUsers) -> None:
    stranger = User(users.url, "another secret, which nobody here believes in", "ann")
    status, answer = await stranger.rest("GET", "/chat-messages", chatId="x")
    await stranger.close()

    assert (status, answer) == (401, refused("UNAUTHORIZED", "The token is invalid."))


async def test_a_send_that_another_contradicts_is_rejected(program: Program, users: ChatUsers) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    chat = await chat_of(ann, ben)
    one = await speaker(program, ann, users)
    other = await speaker(program, ann, users, one)
    name = str(uuid.uuid4())
    wish = {"chatId": chat, "clientMessageId": name}
    first = (await one.call_ok("sendMessage", {**wish, "content": "the first"}))["data"]

    await other.call_ok("sendMessage", {**wish, "content": "the second"})

    for socket in (one, other):
        rejected = await socket.wait_for("messageRejected")
        assert rejected == {
            "chatId": chat,
            "messageId": first["id"],
            "clientMessageId": name,
            "message": rejected["error"]["message"],
            "error": {"code": "CONFLICT", "message": rejected["error"]["message"], "retryable": False},
        }


async def test_a_send_that_cannot_be_stored_has_failed(
    program: Program, users: ChatUsers, stack: Stack
) -> None:
    ann = users.user("ann")
    chat = await chat_of(ann, users.user("ben"))
    one = await speaker(program, ann, users)
    bad = await send_unstorable(stack, ann, chat)
    failed = await one.wait_for("messageFailed")
    assert failed == {
        "chatId": chat,
        "messageId": bad,
        "clientMessageId": None,
        "message": failed["error"]["message"],
        "error": {"code": failed["error"]["code"], "message": failed["message"], "retryable": False},
    }
    await clear_away(stack)
