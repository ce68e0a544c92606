"""The client that browsers run, in the sequence of the groups guide: through nginx, on two gateways."""

import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest

from clients.chat import Town, User, eventually
from clients.javascript import JsSocket, Program
from stack import Stack

SECONDS = 1.0
TRANSPORTS = {
    "polling, then upgraded": None,
    "websocket only": ["websocket"],
    "polling only": ["polling"],
}


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    running = await Program.start()
    yield running
    await running.stop()


async def connected(
    program: Program, user: User, url: str, transports: list[str] | None, name: str
) -> JsSocket:
    options: dict[str, Any] = {"auth": {"token": user.token}}
    if transports:
        options["transports"] = transports
    await program.do("open", name, url=f"{url}/chat", options=options)
    socket = JsSocket(program, name)
    await socket.hears("connect")
    return socket


async def elsewhere(
    program: Program, user: User, url: str, transports: list[str] | None, other: JsSocket
) -> JsSocket:
    """A socket on another gateway than that of `other`."""
    taken = (await other.look())["node"]
    for attempt in range(8):
        socket = await connected(program, user, url, transports, f"{user.id}-{attempt}")
        if (await socket.look())["node"] != taken:
            return socket
        await socket.close()
    raise AssertionError(f"eight times the same gateway: {taken}")


def person(user: User) -> dict[str, Any]:
    return {"_id": user.id, "name": user.id.title(), "username": user.id}


def is_time(text: str) -> bool:
    return len(text) == len("2026-01-01T00:00:00.000Z") and text.endswith("Z")


@pytest.mark.parametrize("transports", TRANSPORTS.values(), ids=TRANSPORTS.keys())
async def test_the_guide_s_own_sequence(program: Program, town: Town, transports: list[str] | None) -> None:
    ann, ben = town.user("ann"), town.user("ben")
    alice = await connected(program, ann, town.url, transports, "alice")
    bob = await elsewhere(program, ben, town.url, transports, alice)
    if transports is None:
        assert (await bob.hears("open"))["transport"] == "polling"
        assert (await bob.hears("upgrade"))["transport"] == "websocket"
    else:
        assert (await bob.look())["transport"] == transports[0]
    assert await alice.hears("onlineUsers") == [ann.id]

    await alice.emit("createConversation", {"type": "group", "name": "Plans", "participants": [ben.id]})
    created = await bob.hears("conversationCreated")
    assert (created["type"], created["name"]) == ("group", "Plans")
    assert sorted(p["_id"] for p in created["participants"]) == [ann.id, ben.id]
    assert {p["_id"]: p["role"] for p in created["participants"]} == {ann.id: "owner", ben.id: "member"}
    group = created["_id"]
    assert (await alice.hears("conversationCreated"))["_id"] == group

    for socket in (alice, bob):
        await socket.emit("joinRoom", {"conversationId": group})
        # Events of one socket are taken in their order: after this answer the room is joined.
        await socket.ask("getOnlineUsers")
    await alice.emit(
        "sendMessage", {"conversationId": group, "content": "Hello World!", "type": "text", "tempId": "1700"}
    )
    for socket in (alice, bob):
        heard = await socket.hears("newMessage")
        assert heard["conversationId"] == group
        message = heard["message"]
        assert message["sender"] == person(ann)
        assert (message["conversationId"], message["content"], message["type"]) == (
            group,
            "Hello World!",
            "text",
        )
        assert (message["status"], message["seq"], message["rev"]) == ("sent", 1, 1)
        assert is_time(message["createdAt"])
    sent = await alice.hears("messageSent")
    assert (sent["tempId"], sent["messageId"]) == ("1700", message["_id"])
    assert bob.all("messageSent") == []

    await bob.emit("typing", {"conversationId": group})
    typing = {"userId": ben.id, "conversationId": group, "username": ben.id}
    assert await alice.hears("userTyping") == typing
    await bob.emit("stopTyping", {"conversationId": group})
    assert await alice.hears("userStoppedTyping") == {"userId": ben.id, "conversationId": group}
    assert bob.all("userTyping") == bob.all("userStoppedTyping") == []

    await bob.emit("markAsRead", {"conversationId": group, "messageId": message["_id"]})
    read = await alice.hears("messageRead")
    assert (read["messageId"], read["conversationId"], read["readBy"]) == (message["_id"], group, ben.id)
    assert is_time(read["readAt"])
    await alice.emit("sendMessage", {"conversationId": group, "content": "Anyone?", "type": "text"})
    await bob.hears("newMessage", times=2)
    await bob.emit("markConversationAsRead", {"conversationId": group})
    all_read = await alice.hears("conversationRead")
    assert (all_read["conversationId"], all_read["readBy"]) == (group, ben.id)
    assert is_time(all_read["readAt"])

    before = len(alice.all("onlineUsers"))
    await alice.emit("getOnlineUsers")
    assert sorted(await alice.hears("onlineUsers", before + 1)) == [ann.id, ben.id]
    await bob.close()
    await eventually(lambda: [s for s in alice.all("userStatusChanged") if s["status"] == "offline"])
    gone = alice.all("userStatusChanged")[-1]
    assert (gone["userId"], gone["status"], is_time(gone["timestamp"])) == (ben.id, "offline", True)
    assert alice.contents() == ["Hello World!", "Anyone?"]


@pytest.mark.parametrize("transports", [["websocket"], ["polling"]], ids=["websocket", "polling"])
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
async def test_the_client_comes_back_by_itself_and_catches_up(
    program: Program, town: Town, stack: Stack, ending: signal.Signals, transports: list[str]
) -> None:
    ann, ben = town.user("ann"), town.user("ben")
    alice = await connected(program, ann, town.url, ["websocket"], "alice")
    bob = await elsewhere(program, ben, town.url, transports, alice)
    group = (await alice.ask("createConversation", {"type": "group", "participants": [ben.id]}))[
        "conversation"
    ]["_id"]
    for socket in (alice, bob):
        await socket.ask("joinRoom", {"conversationId": group})
    await alice.emit("sendMessage", {"conversationId": group, "content": "before"})
    held = await bob.hears("newMessage")

    struck = time.monotonic()
    gateway = f"gateway-{(await bob.look())['node'].removeprefix('g')}"
    stack.signal(gateway, ending)
    await bob.hears("disconnect")
    for number in range(3):
        await alice.ask("sendMessage", {"conversationId": group, "content": f"meanwhile {number}"})
    await bob.hears("connect", times=2, deadline=8 * SECONDS)
    away = time.monotonic() - struck
    joined = await bob.ask("joinRoom", {"conversationId": group})
    assert joined["conversationId"] == group
    await alice.hears("messageSent", times=4)
    answer = await bob.ask("sync", {"conversations": {group: held["message"]["rev"]}})
    await alice.emit("sendMessage", {"conversationId": group, "content": "after"})
    await eventually(lambda: "after" in bob.contents())

    changes = answer["conversations"][group]
    known = {held["message"]["_id"]: held["message"]}
    known |= {m["_id"]: m for m in changes["messages"]}
    known |= {p["message"]["_id"]: p["message"] for p in bob.all("newMessage")}
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
        "none": (None, "A token is needed."),
        "no token": ("not.a.token", "The token is not valid."),
        "expired": (jwt.encode({"sub": "u", "exp": 1}, secret), "The token has expired."),
        "another key": (jwt.encode({"sub": "u", "exp": hour}, "x" * 40), "The token is not valid."),
        "no subject": (jwt.encode({"exp": hour}, secret), "The token has no subject."),
    }


@pytest.mark.parametrize("transports", [["polling"], ["websocket"]], ids=["polling", "websocket"])
async def test_a_bad_token_is_a_connect_error_that_says_why(
    program: Program, town: Town, transports: list[str]
) -> None:
    for kind, (bad, why) in bad_tokens(town.secret).items():
        options = {"auth": {"token": bad}, "transports": transports}
        await program.do("open", kind, url=f"{town.url}/chat", options=options)
        mallory = JsSocket(program, kind)
        error = await mallory.hears("connect_error")
        assert error["message"] == why, kind
        assert error["data"] == {"code": "UNAUTHORIZED", "message": why, "retryable": False}, kind
        assert error["active"] is False, kind
        assert mallory.all("connect") == [], kind


async def test_an_acknowledgement_says_what_is_wrong(program: Program, town: Town) -> None:
    alice = await connected(program, town.user("ann"), town.url, None, "alice")
    answer = await program.do("ask", "alice", event="joinRoom", args=[{"conversationId": "nowhere"}])
    assert answer["success"] is False
    assert (answer["error"]["code"], answer["error"]["retryable"]) == ("NOT_FOUND", False)
    unknown = await program.do("ask", "alice", event="noSuchEvent", args=[])
    assert unknown["error"]["code"] == "UNKNOWN_EVENT"
    assert (await alice.look())["connected"] is True
