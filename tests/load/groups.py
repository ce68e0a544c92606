"""Load by groups of ten over lean sockets, in a closed loop or in an open one."""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from clients.chat import NAMESPACE, token
from clients.socketio_lean import Disconnected, LeanSocket

GROUP = 10
CONTENT = "x" * 100
TICK_SECONDS = 0.005
PAUSE_SECONDS = 0.05
"""The pause after a refusal in a closed loop."""


@dataclass
class Counts:
    """Message counts by state; `delivered` counts deliveries, `GROUP` of each accepted message."""

    offered: int = 0
    accepted: int = 0
    stored: int = 0
    delivered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    refused_deliveries: Counter[str] = field(default_factory=Counter)
    """Deliveries of refused messages, by the code of the refusal."""

    def copy(self) -> "Counts":
        return replace(self, refused=self.refused.copy(), refused_deliveries=self.refused_deliveries.copy())

    @property
    def unanswered(self) -> int:
        return self.offered - self.accepted - self.refused.total()

    @property
    def missing(self) -> int:
        """The deliveries of accepted messages that are missing."""
        return self.accepted * GROUP - (self.delivered - self.refused_deliveries.total())


@dataclass
class Delays:
    """Seconds from a send to its acknowledgement, delivery or refusal."""

    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    delivered: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    """How late this process was itself; the other delays contain it."""


@dataclass
class GroupMember:
    """A member of a group."""

    room: str
    socket: LeanSocket


class Groups:
    """Sockets in groups of ten that receive each other's messages; `reset` clears the measurements."""

    def __init__(self, url: str, secret: str, sockets: int) -> None:
        self.counts, self.delays = Counts(), Delays()
        self._url, self._secret, self._sockets = url, secret, sockets
        self._prefix = uuid.uuid4().hex[:8]
        self._members: list[GroupMember] = []
        self._sent_at: dict[str, float] = {}
        self._deliveries: Counter[str] = Counter()
        self._refusals: dict[str, str] = {}
        self._when_stored: Callable[[str], None] = lambda client_message_id: None

    async def __aenter__(self) -> Self:
        groups = [await self._group(number) for number in range(self._sockets // GROUP)]
        # Round robin over the groups, so that concurrent senders send in different ones.
        self._members = [member for turn in zip(*groups, strict=True) for member in turn]
        return self

    async def __aexit__(self, *_error: object) -> None:
        await asyncio.gather(*(member.socket.close() for member in self._members))

    @property
    def drained(self) -> bool:
        """Whether every send was answered, and every accepted message delivered to all."""
        return not self.counts.unanswered and self.counts.missing <= 0

    @property
    def lost(self) -> int:
        """The sockets that the servers have closed."""
        return sum(member.socket.closed.is_set() for member in self._members)

    def reset(self) -> None:
        """Clear counts and delays."""
        self.counts, self.delays = Counts(), Delays()
        self._sent_at.clear()
        self._deliveries.clear()
        self._refusals.clear()

    async def run_closed_until_stored(self, seconds: float, window: int) -> None:
        """Run a closed loop: each socket sends the next of `window` messages when one is stored."""
        end = time.perf_counter() + seconds
        speaker: dict[str, GroupMember] = {}
        loop = asyncio.get_running_loop()

        def send(member: GroupMember) -> None:
            if time.perf_counter() < end and not member.socket.closed.is_set():
                speaker[self._send(member, lambda ok: ok or loop.call_later(PAUSE_SECONDS, send, member))] = (
                    member
                )

        self._when_stored = lambda name: send(speaker.pop(name))
        for member in self._members * window:
            send(member)
        await asyncio.sleep(seconds)
        self._when_stored = lambda client_message_id: None

    async def run_closed(self, seconds: float, window: int) -> None:
        """Run a closed loop: each socket sends the next of `window` messages when one is answered."""
        end = time.perf_counter() + seconds
        loop = asyncio.get_running_loop()

        def send(member: GroupMember) -> None:
            if time.perf_counter() < end and not member.socket.closed.is_set():
                self._send(
                    member, lambda ok: send(member) if ok else loop.call_later(PAUSE_SECONDS, send, member)
                )

        for member in self._members * window:
            send(member)
        await asyncio.sleep(seconds)

    async def run_open(self, seconds: float, rate: float) -> None:
        """Run an open loop: `rate` messages a second, whether they are answered or not."""
        began = time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds:
            for _ in range(int(rate * passed) - self.counts.offered):
                self._send(self._members[self.counts.offered % len(self._members)])
            due = time.perf_counter() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self.delays.own.append(time.perf_counter() - due)

    def _send(self, member: GroupMember, when_answered: Callable[[bool], Any] = lambda accepted: None) -> str:
        name = str(uuid.UUID(int=random.getrandbits(128), version=4))
        message = {"conversationId": member.room, "content": CONTENT, "clientMessageId": name}
        counts, delays, began = self.counts, self.delays, time.perf_counter()
        counts.offered += 1
        self._sent_at[name] = began

        def answered(answer: "asyncio.Future[Any]") -> None:
            delay = time.perf_counter() - began
            if (code := _refusal(answer)) is None:
                counts.accepted += 1
                delays.accepted.append(delay)
            else:
                counts.refused[code] += 1
                counts.refused_deliveries[code] += self._deliveries[name]
                self._refusals[name] = code
                delays.refused.append(delay)
            when_answered(code is None)

        try:
            member.socket.request("sendMessage", message).add_done_callback(answered)
        except Disconnected:
            counts.refused["DISCONNECTED"] += 1
        return name

    def _on_event(self, event: str, payload: Any) -> None:
        if event == "newMessage":
            self.counts.delivered += 1
            name = payload["message"]["clientMessageId"]
            sent_at = self._sent_at.get(name)
            if sent_at is not None:
                self.delays.delivered.append(time.perf_counter() - sent_at)
                self._deliveries[name] += 1
                if (code := self._refusals.get(name)) is not None:
                    self.counts.refused_deliveries[code] += 1
        elif event == "messageSent":
            self.counts.stored += 1
            self._when_stored(payload["clientMessageId"])

    async def _group(self, number: int) -> list[GroupMember]:
        users = [f"load-{self._prefix}-{number}-{n}" for n in range(GROUP)]
        sockets = await asyncio.gather(*map(self._connect, users))
        wanted = {"type": "group", "name": f"group {number}", "participants": users[1:]}
        created = await sockets[0].call("createConversation", wanted)
        room: str = created["conversation"]["_id"]
        await asyncio.gather(*(socket.call("joinRoom", {"conversationId": room}) for socket in sockets))
        return [GroupMember(room, socket) for socket in sockets]

    async def _connect(self, user: str) -> LeanSocket:
        auth = {"token": token(self._secret, user)}
        return await LeanSocket.connect(self._url, NAMESPACE, auth, self._on_event)


def _refusal(answer: "asyncio.Future[Any]") -> str | None:
    if answer.cancelled() or answer.exception() is not None:
        return "DISCONNECTED"
    reply = answer.result()
    return None if reply["success"] else str(reply["error"]["code"])
