"""A user of a group: sends, keeps the books of what arrives, and returns when its socket is lost."""

import asyncio
import itertools
import random
from collections.abc import Callable
from time import perf_counter
from typing import Any

import orjson

from load.generator.connection import NAMESPACE, ConnectError, Connection, event
from load.generator.ledger import Ledger

MESSAGE = b'42/chat,["newMessage"'
STORED = b'42/chat,["messageSent"'
FAILED = b'42/chat,["messageRejected"', b'42/chat,["messageFailed"'
NAME = b'"clientMessageId":"'
NAME_LENGTH = 36
SUCCESS = b'"success":true'
ANSWER = len(b"43" + NAMESPACE)
CONTENT = "x" * 100
RETURN_SECONDS = 0.15, 0.45
"""Seconds before a client connects again, as the chat page waits at first."""
LONGEST_RETURN_SECONDS = 5.0
CALL_SECONDS = 60.0
LOST = (OSError, TimeoutError)

WhenStored = Callable[["Client", bool], None]
"""Called when a message of a client is stored, or was refused (False)."""


class Client:
    """One member of one group, with one socket."""

    __slots__ = (
        "_answers", "_auth", "_calls", "_connection", "_held", "_last", "_ledger", "_missed_since",
        "_numbers", "_returning", "_url", "bit", "confirms", "everybody", "gateway", "is_slow", "is_steady",
        "is_up", "returned_at", "room", "source", "user", "wanted", "when_stored",
    )  # fmt: skip

    def __init__(
        self, user: str, token: str, url: str, source: str | None, ledger: Ledger, bit: int, *, confirms: bool
    ) -> None:
        self.user = user
        self.room = ""
        self.bit = bit
        self.everybody = 0
        """The bits of all members of the group."""
        self.confirms = confirms
        """Whether the server tells when a message is stored; otherwise its answer means that."""
        self.source = source
        self.gateway = ""
        self.is_up = False
        self.is_steady = True
        """Whether the client has never been disconnected and reads as fast as it can."""
        self.is_slow = False
        self.wanted = True
        """Whether the client returns when its socket is lost."""
        self.returned_at = 0.0
        self.when_stored: WhenStored | None = None
        self._url = url
        self._auth = orjson.dumps({"token": token})
        self._ledger = ledger
        self._connection: Connection | None = None
        self._numbers = itertools.count(1)
        self._answers: dict[int, bytes] = {}
        """The names of messages by the number of the answer that is due."""
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._held: set[bytes] = set()
        """Messages to send again: their answers were lost with the socket, or there was none."""
        self._last = b""
        """The newest message that arrived."""
        self._missed_since: bytes | None = None
        """The newest message before the socket was lost, until the client has caught up.

        Live messages that arrive before the sync do not tell what is missing between.
        """
        self._returning: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Connect; raises OSError or TimeoutError."""
        self._connection = await Connection.open(self._url, self.source, self, self._auth)
        self.gateway = self._connection.sid.partition(".")[0]
        self.is_up = True
        self._ledger.tally.connects += 1

    async def create_group(self, participants: list[str]) -> str:
        """Create a group with other users; return its id."""
        wish = {"type": "group", "name": "A group", "participants": participants}
        answer = await self.call("createConversation", wish)
        room: str = answer["conversation"]["_id"]
        return room

    async def join(self) -> dict[str, Any]:
        """Enter the group's room; return the answer, which may hold its revision."""
        answer: dict[str, Any] = await self.call("joinRoom", {"conversationId": self.room})
        return answer

    def send(self, intended: float) -> None:
        """Send a message that was to be sent at `intended`, now or when the client has returned."""
        name = self._ledger.send(self.everybody, intended, steady=self.is_steady)
        if self.is_up:
            self._send(name)
        else:
            self._held.add(name)

    def type(self) -> None:
        """Tell the group that the user is typing."""
        if self.is_up and self._connection is not None:
            self._connection.send(event("typing", {"conversationId": self.room}))

    def drop(self) -> None:
        """Lose the socket, as when the network changes."""
        if self._connection is not None:
            self._connection.abort()

    def read_slowly(self, *, paused: bool) -> None:
        """Stop reading, or read again."""
        self.is_slow, self.is_steady = True, False
        if self._connection is not None:
            self._connection.pause() if paused else self._connection.resume()

    def leave(self) -> None:
        """Close the socket for good."""
        self.wanted = False
        if self._returning is not None:
            self._returning.cancel()
        if self._connection is not None:
            self._connection.leave()

    async def call(self, name: str, payload: Any) -> Any:
        """Emit an event; return its answer.

        Raises:
            ConnectError: the server refuses, or the socket is lost.
            TimeoutError: no answer came.
        """
        if self._connection is None:
            raise ConnectError("there is no socket")
        number = next(self._numbers)
        answer = self._calls[number] = asyncio.get_running_loop().create_future()
        self._connection.send(event(name, payload, number))
        try:
            found = await asyncio.wait_for(answer, CALL_SECONDS)
        finally:
            self._calls.pop(number, None)
        if not found["success"]:
            error = found["error"]
            raise ConnectError(f"{name} {error['code']}: {error['message']}")
        return found

    def on_packet(self, packet: bytes, now: float) -> None:
        if packet.startswith(MESSAGE):
            start = packet.find(NAME) + len(NAME)
            self._last = packet
            self._ledger.deliver(packet[start : start + NAME_LENGTH], self.bit, now, steady=self.is_steady)
        elif packet.startswith(b"43"):
            self._on_answer(packet, now)
        elif packet.startswith(STORED):
            start = packet.find(NAME) + len(NAME)
            self._on_stored(packet[start : start + NAME_LENGTH])
        else:
            self._ledger.tally.others += 1
            if packet.startswith(FAILED):
                self._on_failed(packet, now)

    def on_closed(self) -> None:
        self.is_up = self.is_steady = False
        self._connection = None
        self._ledger.tally.disconnects += 1
        if self._missed_since is None:
            self._missed_since = self._last
        for answer in self._calls.values():
            if not answer.done():
                answer.set_exception(ConnectError("the socket was lost"))
        self._held.update(self._answers.values())
        self._answers.clear()
        if self.wanted and (self._returning is None or self._returning.done()):
            self._returning = asyncio.get_running_loop().create_task(self._return())

    def _send(self, name: bytes) -> None:
        assert self._connection is not None
        number = next(self._numbers)
        self._answers[number] = name
        payload = {"conversationId": self.room, "content": CONTENT, "clientMessageId": name.decode()}
        self._connection.send(event("sendMessage", payload, number))

    def _on_answer(self, packet: bytes, now: float) -> None:
        start = packet.index(b"[")
        number = int(packet[ANSWER:start])
        name = self._answers.pop(number, None)
        if name is None:
            self._on_call_answer(number, packet[start:])
        elif SUCCESS in packet:
            self._ledger.accept(name, now)
            if not self.confirms:
                self._on_stored(name)
        else:
            code = str(orjson.loads(packet[start:])[0]["error"]["code"])
            self._ledger.refuse(name, code, now)
            self._continue(stored=False)

    def _on_call_answer(self, number: int, body: bytes) -> None:
        call = self._calls.get(number)
        if call is not None and not call.done():
            call.set_result(orjson.loads(body)[0])

    def _on_stored(self, name: bytes) -> None:
        if self._ledger.store(name):
            self._continue(stored=True)

    def _on_failed(self, packet: bytes, now: float) -> None:
        payload = orjson.loads(packet[packet.index(b"[") :])[1]
        self._ledger.refuse(str(payload.get("clientMessageId")).encode(), "REJECTED", now)
        self._continue(stored=False)

    def _continue(self, *, stored: bool) -> None:
        if self.when_stored is not None:
            self.when_stored(self, stored)

    async def _return(self) -> None:
        """Connect again, enter the room, catch up, and send again what has no answer."""
        for attempt in itertools.count():
            await asyncio.sleep(min(random.uniform(*RETURN_SECONDS) * 2**attempt, LONGEST_RETURN_SECONDS))
            try:
                await self._enter_again()
            except LOST as error:
                reason = str(error) or "no answer in time"
                self._ledger.tally.failed_returns[reason.partition(":")[0]] += 1
                self.drop()
            # The socket may have been lost again before this task went on.
            if self._connection is not None and self.is_up:
                break
        self.returned_at = perf_counter()
        held, self._held = self._held, set()
        for name in held:
            if not self._ledger.is_answered(name):
                self._send(name)

    async def _enter_again(self) -> None:
        await self.connect()
        if self.room:
            self.is_up = False
            await self.join()
            await self._catch_up()
            self._missed_since = None
            self.is_up = self._connection is not None

    async def _catch_up(self) -> None:
        """Ask for the messages since the newest one that the client has."""
        if not self.confirms:
            return
        held: dict[str, int] | None = _revision(self._missed_since or b"")
        while held is not None:
            answer = await self.call("sync", {"conversations": {self.room: held}})
            changes = answer["conversations"][self.room]
            now = perf_counter()
            self._ledger.tally.too_far += bool(changes.get("tooFar"))
            for message in changes.get("messages") or ():
                name = str(message.get("clientMessageId")).encode()
                self._ledger.deliver(name, self.bit, now, steady=False)
                if message["sender"]["_id"] == self.user:
                    # The confirmation went to the lost socket.
                    self._on_stored(name)
            held = {"rev": changes["rev"], "epoch": changes["epoch"]} if changes.get("more") else None


def _revision(packet: bytes) -> dict[str, int]:
    """Return the revision in a message; without a message, that of a group where nothing was sent."""
    if not packet:
        return {"rev": 0, "epoch": 0}
    message = orjson.loads(packet[packet.index(b"[") :])[1]["message"]
    return {"rev": message["rev"], "epoch": message.get("epoch", 0)}
