"""The client that browsers run, in the sequence of the groups guide: through nginx, on two gateways."""

import asyncio
import json
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from clients.chat import Town, User, eventually
from stack import Stack

SECONDS = 1.0
NODE = Path(sys.prefix, "bin", "node")
PROGRAM = Path(__file__).with_name("js") / "clients.mjs"
TRANSPORTS = {
    "polling, then upgraded": None,
    "websocket only": ["websocket"],
    "polling only": ["polling"],
    "as in the guide": ["websocket", "polling"],
}


class Program:
    """The node process with its sockets, and everything that they heard."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self.heard: list[tuple[str, str, list[Any]]] = []
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls) -> "Program":
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(NODE, PROGRAM, stdin=pipe, stdout=pipe, limit=1 << 20)
        return cls(process)

    async def do(self, deed: str, name: str, **more: Any) -> Any:
        """Have a socket do something; what came of it."""
        command = {"id": uuid.uuid4().hex, "do": deed, "name": name, **more}
        answer = self._answers[command["id"]] = asyncio.get_running_loop().create_future()
        assert self._process.stdin
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        return await asyncio.wait_for(answer, 15)

    async def stop(self) -> None:
        """Its input ends, and so it does; a signal would reach only what node was started by."""
        assert self._process.stdin
        self._process.stdin.close()
        await asyncio.wait_for(self._reader, 10)
        await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            said = json.loads(line)
            if "event" in said:
                self.heard.append((said["name"], said["event"], said["args"]))
            elif "error" in said:
                self._answers[said["id"]].set_exception(AssertionError(said["error"]))
            else:
                self._answers[said["id"]].set_result(said["result"])


class JsSocket:
    """One socket of the program."""

    def __init__(self, program: Program, name: str) -> None:
        self._program = program
        self.name = name

    async def emit(self, event: str, *args: Any) -> None:
        """Emit without asking for an acknowledgement, as the guide does."""
        await self._program.do("emit", self.name, event=event, args=args)

    async def ask(self, event: str, *args: Any) -> Any:
        """Emit, and insist that the acknowledgement is a success."""
        answer = await self._program.do("ask", self.name, event=event, args=args)
        assert answer["success"] is True, answer
        return answer

    async def look(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._program.do("look", self.name)
        return found

    async def close(self) -> None:
        await self._program.do("close", self.name)

    def all(self, event: str) -> list[Any]:
        """The payloads of an event that were heard."""
        return [
            args[0] if args else None
            for who, what, args in self._program.heard
            if (who, what) == (self.name, event)
        ]

    async def hears(self, event: str, times: int = 1, deadline: float = 10 * SECONDS) -> Any:
        """Wait until an event was heard so many times; the last one's payload."""
        try:
            await eventually(lambda: len(self.all(event)) >= times, deadline)
        except AssertionError:
            mine = [(what, args) for who, what, args in self._program.heard if who == self.name]
            raise AssertionError(f"{self.name} never heard {event} {times} times, but {mine[-20:]}") from None
        return self.all(event)[times - 1]

    def contents(self) -> list[str]:
        return [payload["message"]["content"] for payload in self.all("newMessage")]


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
        "no token at all": ("not.a.token", "The token is not valid."),
        "expired": (jwt.encode({"sub": "u", "exp": 1}, secret), "The token has expired."),
        "another key": (jwt.encode({"sub": "u", "exp": hour}, "x" * 40), "The token is not valid."),
        "no subject": (jwt.encode({"exp": hour}, secret), "The token has no subject."),
    }


@pytest.mark.parametrize("kind", bad_tokens("s" * 40))
@pytest.mark.parametrize("transports", [["polling"], ["websocket"]], ids=["polling", "websocket"])
async def test_a_bad_token_is_a_connect_error_that_says_why(
    program: Program, town: Town, kind: str, transports: list[str]
) -> None:
    bad, why = bad_tokens(town.secret)[kind]
    options = {"auth": {"token": bad}, "transports": transports}
    await program.do("open", "mallory", url=f"{town.url}/chat", options=options)
    error = await JsSocket(program, "mallory").hears("connect_error")
    assert error["message"] == why
    assert error["data"] == {"code": "UNAUTHORIZED", "message": why, "retryable": False}
    assert error["active"] is False
    assert JsSocket(program, "mallory").all("connect") == []


async def test_an_acknowledgement_says_what_is_wrong(program: Program, town: Town) -> None:
    alice = await connected(program, town.user("ann"), town.url, None, "alice")
    answer = await program.do("ask", "alice", event="joinRoom", args=[{"conversationId": "nowhere"}])
    assert answer["success"] is False
    assert (answer["error"]["code"], answer["error"]["retryable"]) == ("NOT_FOUND", False)
    unknown = await program.do("ask", "alice", event="noSuchEvent", args=[])
    assert unknown["error"]["code"] == "UNKNOWN_EVENT"
    assert (await alice.look())["connected"] is True
