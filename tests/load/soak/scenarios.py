"""Users that connect, join, send, type and read by any guide's protocol, and vanish abruptly."""

import asyncio
import contextlib
import os
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from picows import WSInvalidStatusError, WSMsgType, WSTransport

from clients.chat import token
from clients.socketio_lean import Disconnected, LeanSocket, Refused

Events = Callable[[str], list[tuple[str, dict[str, Any]]]]
GARBAGE = (
    "",
    "9",
    "4",
    "42",
    "42[",
    "42{}",
    "45-",
    "451-[]",
    "40/nowhere,",
    "\x00",
    "42/chat,[1]",
    "4" * 2000,
)
STAY_SECONDS = 1.5
"""The longest duration of a visit without its waits."""
FLEETING_SECONDS = 0.05
SLOW_ANSWER = 20.0


@dataclass(frozen=True)
class ProtocolScript:
    """One guide's namespace, and its client's events in a conversation."""

    namespace: str
    events: Events


def _text() -> str:
    return f"sent before a disconnect {uuid.uuid4()}"


PROTOCOL_SCRIPTS = (
    ProtocolScript(
        "/",
        # Only this guide's protocol in the namespace has the event, so the first event selects the protocol.
        lambda c: [("sendMessage", {"conversationId": c, "content": _text(), "matter": "M-1"})],
    ),
    ProtocolScript(
        "/",
        lambda c: [
            ("joinConversation", {"conversationId": c}),
            ("typing", {"conversationId": c, "isTyping": True}),
            ("sendMessage", {"conversationId": c, "content": _text()}),
        ],
    ),
    ProtocolScript(
        "/chat",
        lambda c: [
            ("authenticate", {}),
            ("joinChat", {"chatId": c}),
            ("typing", {"chatId": c, "isTyping": True}),
            ("sendMessage", {"chatId": c, "content": _text()}),
        ],
    ),
    ProtocolScript(
        "/chat",
        lambda c: [
            ("joinRoom", {"conversationId": c}),
            ("typing", {"conversationId": c}),
            ("sendMessage", {"conversationId": c, "content": _text(), "clientMessageId": str(uuid.uuid4())}),
            ("markConversationAsRead", {"conversationId": c}),
        ],
    ),
    ProtocolScript(
        "/messages",
        lambda c: [
            ("join_conversation", {"conversationId": c}),
            ("typing", {"conversationId": c, "isTyping": True}),
            ("send_message", {"conversationId": c, "content": _text()}),
            ("mark_as_read", {"conversationId": c}),
        ],
    ),
)
"""The clients' events of the five protocols, in the order of `parley.gateway.protocols.registry`."""


class ShortLivedSocket(LeanSocket):
    """A client that disconnects a moment after the websocket is open."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        asyncio.get_running_loop().call_later(random.uniform(0, FLEETING_SECONDS), self.abort)


@dataclass(frozen=True)
class Participant:
    """One user's conversation and protocol."""

    user_id: str
    conversation_id: str
    protocol: ProtocolScript


class AbruptSocket(LeanSocket):
    """A client that can send any frame; once stalled, it reads and answers nothing on an open connection."""

    stalled = False

    def send_frame(self, kind: WSMsgType, frame: bytes) -> None:
        """Send a websocket frame as it is."""
        if self._transport is not None and not self.closed.is_set():
            self._transport.send(kind, frame)

    def stop_reading(self) -> None:
        """Stop reading and answering."""
        self.stalled = True
        if self._transport is not None:
            self._transport.underlying_transport.pause_reading()

    def _read(self, packet: bytes) -> None:
        if not self.stalled:
            super()._read(packet)


class Scenarios:
    """The kinds of visits: each opens a connection of its own, and drops it abruptly."""

    def __init__(self, url: str, secret: str, http: aiohttp.ClientSession) -> None:
        self.tally: Counter[str] = Counter()
        """Visits by kind; answers as `answered` and `refused <code>`."""
        self._url, self._secret, self._http = url, secret, http
        self._stalled: list[LeanSocket] = []
        self.quick: tuple[Callable[[Participant], Awaitable[None]], ...] = (
            self.breaks_off,
            self.breaks_off_at_once,
            self.breaks_off_in_the_middle,
            self.has_a_wrong_token,
            self.talks_garbage,
            self.sends_half_a_request,
        )
        """The visits whose end the servers notice at once, or by a deadline of their own."""
        self.slow: tuple[Callable[[Participant], Awaitable[None]], ...] = (self.stalls, self.polls_no_more)
        """The visits whose end the servers notice by a ping timeout."""

    async def breaks_off(self, participant: Participant) -> None:
        """Send all events, wait for the answers, and vanish."""
        socket = await self._socket(participant)
        for event, payload in participant.protocol.events(participant.conversation_id):
            self._count_answer(await socket.call(event, payload, within=SLOW_ANSWER))
        await _a_while()
        socket.abort()

    async def breaks_off_at_once(self, participant: Participant) -> None:
        """Vanish during the connect, or a moment later."""
        auth = {"token": token(self._secret, participant.user_id)}
        with contextlib.suppress(Disconnected):
            await ShortLivedSocket.connect(self._url, participant.protocol.namespace, auth, _ignore_event)

    async def breaks_off_in_the_middle(self, participant: Participant) -> None:
        """Send all events at once and wait for no answer."""
        socket = await self._socket(participant)
        for event, payload in participant.protocol.events(participant.conversation_id):
            _ignore_outcome(socket.request(event, payload))
        await asyncio.sleep(random.uniform(0, 0.1))
        socket.abort()

    async def has_a_wrong_token(self, participant: Participant) -> None:
        """Stay connected after a refusal."""
        await LeanSocket.connect(self._url, participant.protocol.namespace, {"token": "none"}, _ignore_event)

    async def talks_garbage(self, participant: Participant) -> None:
        """Send garbage, as text and as bytes, before and after the connect."""
        socket = await self._socket(participant)
        for frame in random.sample(GARBAGE, 3):
            socket.send_frame(WSMsgType.TEXT, frame.encode())
        socket.send_frame(WSMsgType.BINARY, os.urandom(64))
        await _a_while()
        socket.abort()

    async def sends_half_a_request(self, _place: Participant) -> None:
        """Begin a request and never end it."""
        at = urlsplit(self._url)
        _, writer = await asyncio.open_connection(at.hostname, at.port)
        writer.write(b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: lo")
        await writer.drain()
        await _a_while()
        writer.transport.abort()

    async def stalls(self, participant: Participant) -> None:
        """Send all events, then neither read nor answer on the open connection."""
        socket = await self._socket(participant)
        for event, payload in participant.protocol.events(participant.conversation_id):
            self._count_answer(await socket.call(event, payload, within=SLOW_ANSWER))
        socket.stop_reading()
        self._stalled.append(socket)

    async def polls_no_more(self, participant: Participant) -> None:
        """Connect by polling, send all events, and never poll again."""
        base = f"{self._url}/socket.io/?EIO=4&transport=polling"
        async with self._http.get(base) as answer:
            sid = orjson.loads((await answer.text())[1:])["sid"]
        auth = orjson.dumps({"token": token(self._secret, participant.user_id)}).decode()
        namespace = "" if participant.protocol.namespace == "/" else participant.protocol.namespace + ","
        events = [
            orjson.dumps(event).decode() for event in participant.protocol.events(participant.conversation_id)
        ]
        for body in (f"40{namespace}{auth}", "\x1e".join(f"42{namespace}{event}" for event in events)):
            async with self._http.post(f"{base}&sid={sid}", data=body) as answer:
                if answer.status != HTTPStatus.OK:
                    self.tally["cut off"] += 1
                    return

    async def run(self, way: Callable[[Participant], Awaitable[None]], participant: Participant) -> None:
        """Make one visit; refusals and closed connections are expected and counted."""
        self.tally[way.__name__] += 1
        try:
            await way(participant)
        except Refused as refused:
            self.tally[f"refused {refused.data['data']['code']}"] += 1
        except Disconnected:
            self.tally["cut off"] += 1
        except WSInvalidStatusError:
            self.tally["turned away"] += 1
            await _a_while()

    def close(self) -> None:
        """Close the connections that are still open."""
        for socket in self._stalled:
            socket.abort()
        self._stalled.clear()

    async def _socket(self, participant: Participant) -> AbruptSocket:
        auth = {"token": token(self._secret, participant.user_id)}
        socket = await AbruptSocket.connect(self._url, participant.protocol.namespace, auth, _ignore_event)
        assert isinstance(socket, AbruptSocket)
        return socket

    def _count_answer(self, answer: Any) -> None:
        good = isinstance(answer, dict) and answer.get("success")
        self.tally["answered" if good else f"refused {answer}"] += 1


def _ignore_event(_event: str, _payload: Any) -> None:
    """Ignore an event."""


def _ignore_outcome(answer: "asyncio.Future[Any]") -> None:
    """Ignore the outcome of a request."""
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())


async def _a_while() -> None:
    await asyncio.sleep(random.uniform(0, STAY_SECONDS))
