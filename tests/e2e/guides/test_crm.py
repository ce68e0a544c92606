"""The CRM guide's own sequence with the JavaScript client, through nginx on two gateways."""

import time
from typing import Any

import pytest

from clients.chat import ChatUsers
from clients.crm import STAFF, accepted, chat_of, edited, in_room, manager, stored
from clients.javascript import JsSocket, Program
from clients.matching import A_TIME
from clients.tokens import fresh
from parley.gateway.protocols.crm import CRM


@pytest.mark.parametrize("transports", [["websocket", "polling"], None], ids=["as the guide", "default"])
async def test_the_guide_s_own_sequence(
    program: Program, users: ChatUsers, transports: list[str] | None
) -> None:
    ann, ben = manager(users), users.user("ben", type="employee")
    chat = await chat_of(ann, ben)
    one = await program.connect(ann, users.url, CRM, transports, "one")
    two = await program.connect_elsewhere(ben, users.url, CRM, one, transports)

    assert await one.call_ok("authenticate") == {
        "success": True,
        "message": "Authenticated successfully",
        "userId": ann.id,
        "socketId": (await one.inspect())["id"],
        "user": {"id": ann.id, "permissions": ["chats.read", "chats.write"], **STAFF},
    }
    nothing = {"role": None, "type": "employee", "department": None, "permissions": []}
    assert (await two.call_ok("authenticate"))["user"] == {"id": ben.id, **nothing}
    one.mark_protocol_resolved()
    two.mark_protocol_resolved()

    of_ben = {"chatId": chat, "userId": ben.id, "timestamp": A_TIME}
    for socket in (one, two):
        joined = await socket.call_ok("joinChat", {"chatId": chat})
        assert joined == {"success": True, "message": f"Joined chat {chat}"}
    assert await one.wait_for("userJoined") == of_ben

    answer = await one.call_ok("sendMessage", {"chatId": chat, "content": "Hello, world!"})
    message = accepted(ann, chat, "Hello, world!", **STAFF)
    assert answer == {"success": True, "data": message}
    message = stored(answer["data"], 1)
    new = {"message": message, "chatId": chat, "timestamp": message["createdAt"]}
    for socket in (one, two):
        assert await socket.wait_for("newMessage") == new

    for number, typing in enumerate((True, False), start=1):
        await two.emit("typing", {"chatId": chat, "isTyping": typing})
        assert await one.wait_for("userTyping", number) == {**of_ben, "isTyping": typing}
    assert await two.call_ok("markAsRead", {"chatId": chat, "messageId": message["id"]}) == {"success": True}
    assert await one.wait_for("messageRead") == {**of_ben, "messageId": message["id"]}

    pong = await two.call_ok("ping")
    assert pong == {"pong": pytest.approx(time.time() * 1000, abs=60_000)}
    assert isinstance(pong["pong"], int)

    left = await two.call_ok("leaveChat", {"chatId": chat})
    assert left == {"success": True, "message": f"Left chat {chat}"}
    assert await one.wait_for("userLeft") == of_ben
    await one.call_ok("sendMessage", {"chatId": chat, "content": "while you are away"})
    await one.wait_for("newMessage", times=2)
    await two.call_ok("joinChat", {"chatId": chat})
    assert await one.wait_for("userJoined", times=2) == of_ben
    await one.call_ok("sendMessage", {"chatId": chat, "content": "again"})
    assert (await two.wait_for("newMessage", times=2))["message"]["message"] == "again"
    await two.close()
    assert await one.wait_for("userLeft", times=2) == of_ben

    others = ("userTyping", "messageRead", "userLeft")
    assert [two.events(event) for event in others] == [[], [], []]
    assert of_ben not in two.events("userJoined")
    assert [p["message"]["message"] for p in one.events("newMessage")] == [
        "Hello, world!",
        "while you are away",
        "again",
    ]


async def test_rest_and_sockets_return_the_same(program: Program, users: ChatUsers) -> None:
    ann, ben = manager(users), users.user("ben")
    chat = await chat_of(ann, ben)
    sockets = await in_room(program, users, chat, ann, ben)

    status, body = await ann.rest("POST", "/chat-messages", {"chatId": chat, "content": "Hello!"})
    assert (status, body) == (201, {"success": True, "data": accepted(ann, chat, "Hello!", **STAFF)})
    message = stored(body["data"], 1)
    at = message["createdAt"]
    for socket in sockets:
        received = await socket.wait_for("newMessage")
        assert received == {"message": message, "chatId": chat, "timestamp": at}
    path = f"/chat-messages/{message['id']}"
    assert await ben.rest("GET", path) == (200, {"success": True, "data": message})

    for rev, method in enumerate(("PATCH", "PUT"), start=2):
        status, body = await ann.rest(method, path, {"content": method})
        assert (status, body) == (200, {"success": True, "data": edited(message, method)})
        await sent_again(sockets, rev - 1, {**body["data"], "rev": rev})
    assert body["data"]["updatedAt"] > at
    assert (await ben.rest("GET", path))[1]["data"] == {**body["data"], "rev": 3, "isRead": False}

    assert await ann.rest("DELETE", path) == (200, {"success": True, "message": "Message deleted"})
    for socket in sockets:
        gone = await socket.wait_for("messageDeleted")
        assert gone == {"messageId": message["id"], "chatId": chat, "timestamp": A_TIME}
    page = (await ben.rest("GET", "/chat-messages", chatId=chat))[1]
    tombstone = {"message": "", "rev": 4, "updatedAt": gone["timestamp"], "deletedAt": gone["timestamp"]}
    assert page["data"] == [{**message, **tombstone}]


async def sent_again(sockets: list[JsSocket], times: int, message: dict[str, Any]) -> None:
    for socket in sockets:
        assert await socket.wait_for("messageUpdated", times) == {
            "message": message,
            "chatId": message["chatId"],
            "timestamp": message["updatedAt"],
        }


async def test_sockets_edit_and_delete_too(program: Program, users: ChatUsers) -> None:
    ann, ben = manager(users), users.user("ben")
    chat = await chat_of(ann, ben)
    sockets = await in_room(program, users, chat, ann, ben)
    await sockets[0].call_ok("sendMessage", {"chatId": chat, "message": "by its other name"})
    message = (await sockets[1].wait_for("newMessage"))["message"]
    assert message["message"] == "by its other name"

    for rev, place in enumerate(({}, {"chatId": chat}), start=2):
        wish = {"messageId": message["id"], "content": f"edit {rev}", **place}
        answer = await sockets[0].call_ok("updateMessage", wish)
        assert answer == {"success": True, "data": edited(message, f"edit {rev}")}
        await sent_again(sockets, rev - 1, {**answer["data"], "rev": rev})

    refusal = await sockets[1].call("updateMessage", {"messageId": message["id"], "content": "mine"})
    assert refusal["error"]["code"] == "FORBIDDEN"
    answer = await sockets[0].call_ok("deleteMessage", {"chatId": chat, "messageId": message["id"]})
    assert answer == {"success": True}
    for socket in sockets:
        gone = await socket.wait_for("messageDeleted")
        assert gone == {"messageId": message["id"], "chatId": chat, "timestamp": A_TIME}


@pytest.mark.parametrize("way", ["auth object", "authorization header", "query parameter"])
@pytest.mark.parametrize("transports", [["websocket"], ["polling"]], ids=["websocket", "polling"])
async def test_each_way_of_giving_the_token(
    program: Program, users: ChatUsers, way: str, transports: list[str]
) -> None:
    ann = manager(users)
    url, options = (
        f"{users.url}/chat",
        {
            "auth object": {"auth": {"token": ann.token}},
            "authorization header": {"extraHeaders": {"authorization": f"Bearer {ann.token}"}},
            "query parameter": {},
        }[way],
    )
    if way == "query parameter":
        url += f"?token={ann.token}"
    await program.command("open", "one", url=url, options={**options, "transports": transports})
    one = JsSocket(program, "one", CRM)
    await one.wait_for("connect")

    assert (await one.call_ok("authenticate"))["userId"] == ann.id


async def test_pages_count_back_from_the_last_message(users: ChatUsers) -> None:
    ann, ben = manager(users), users.user("ben")
    chat = await chat_of(ann, ben)
    ids = []
    for number in range(1, 6):
        body = {"chatId": chat, "content": f"number {number}"}
        ids.append((await ann.rest("POST", "/chat-messages", body))[1]["data"]["id"])

    async def page(**query: Any) -> tuple[list[int], int, int, int, bool]:
        status, body = await ben.rest("GET", "/chat-messages", chatId=chat, **query)
        assert (status, body.pop("success")) == (200, True)
        assert set(body) == {"data", "total", "page", "limit", "hasMore"}
        numbers = [message["seq"] for message in body["data"]]
        return numbers, body["total"], body["page"], body["limit"], body["hasMore"]

    assert await page() == ([1, 2, 3, 4, 5], 5, 1, 50, False)
    assert await page(limit=2) == ([4, 5], 5, 1, 2, True)
    assert await page(limit=2, page=2) == ([2, 3], 5, 2, 2, True)
    assert await page(limit=2, page=3) == ([1], 5, 3, 2, False)
    assert await page(limit=2, page=9) == ([], 5, 9, 2, False)
    for before in (ids[3], 4):
        assert await page(limit=2, before=before) == ([2, 3], 5, 1, 2, True)
        assert await page(limit=2, before=before, page=2) == ([1], 5, 2, 2, False)
    assert await page(before=1) == ([], 5, 1, 50, False)


async def test_a_message_is_read_once_somebody_else_has_read_it(program: Program, users: ChatUsers) -> None:
    ann, ben = manager(users), users.user("ben")
    chat = await chat_of(ann, ben)
    one, two = await in_room(program, users, chat, ann, ben)
    for content in ("one", "two", "three"):
        await one.call_ok("sendMessage", {"chatId": chat, "content": content})
    received = [(await two.wait_for("newMessage", times))["message"] for times in (1, 2, 3)]
    await two.call_ok("markAsRead", {"chatId": chat, "messageId": received[1]["id"]})
    await one.wait_for("messageRead")

    for user in (ann, ben):
        page = (await user.rest("GET", "/chat-messages", chatId=chat))[1]
        assert [message["isRead"] for message in page["data"]] == [True, True, False]
        for message, read in zip(received, (True, True, False), strict=True):
            _, found = await user.rest("GET", f"/chat-messages/{message['id']}")
            assert found == {"success": True, "data": {**message, "isRead": read}}


async def test_a_fresh_token_keeps_the_socket(program: Program, users: ChatUsers) -> None:
    ann = users.user("ann")
    socket = await program.connect(ann, users.url, CRM)

    renewed = await socket.call_ok("reauthenticate", {"token": fresh(users.secret, ann.id)})

    assert renewed == {"success": True, "expiresAt": A_TIME}
    assert (await socket.inspect())["connected"] is True
