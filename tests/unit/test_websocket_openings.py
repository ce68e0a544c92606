"""A websocket that is opened at once answers like one that aiohttp opens; the rest is left to aiohttp."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import socketio
from aiohttp import web

from clients.chat import eventually
from parley.gateway.rest import safe_headers
from parley.gateway.transport import pacing
from parley.gateway.transport.server import ChatServer
from parley.gateway.transport.websocket_openings import WebsocketOpenings
from parley.shared import http_server
from parley.shared.http_server import TAKE_FIRST, AppRunner

SECONDS = 5.0
PATH = "/socket.io/?EIO=4&transport=websocket"
HEADERS = {
    "Host": "chat.example",
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
PING = b"\x89\x80\x00\x00\x00\x00"
PONG = b"\x8a\x00"


def request(path: str = PATH, **changes: str | None) -> bytes:
    """Return a request with headers added, replaced, or left out (None)."""
    headers = {**HEADERS, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value is not None]
    return f"GET {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


class Gateway:
    """A server that opens websockets at once, or leaves all to aiohttp."""

    def __init__(self, *, at_once: bool) -> None:
        self.server = ChatServer(client_manager=socketio.AsyncManager(), node_name="n")
        self.taken: list[bool] = []
        self.is_full = False
        app = web.Application()
        safe_headers.install(app)
        self.server.attach(app)
        if at_once:
            app[TAKE_FIRST] = self._take
        self._openings = WebsocketOpenings(self.server.eio, lambda _: not self.is_full)
        self.runner = AppRunner(app, access_log=None, shutdown_timeout=0.1)

    def _take(self, transport: asyncio.Transport, data: bytes) -> bool:
        self.taken.append(self._openings.take(transport, data))
        return self.taken[-1]

    async def start(self) -> None:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self.runner.addresses[0][:2]
        return await asyncio.open_connection(host, port)

    async def ask(self, *parts: bytes) -> tuple[list[bytes], bytes]:
        """Send a request in parts; return the lines of the answer's head without date, and what follows."""
        reader, writer = await self.connect()
        async with asyncio.timeout(SECONDS):
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.01)
            head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            body = await reader.read(1_000)
            if head[0].startswith(b"HTTP/1.1 101"):
                writer.write(PING)
                # A ping may stand behind the request, too.
                while body.count(PONG) < 1 + parts[-1].count(PING):
                    body += await reader.read(1_000)
        writer.close()
        return [line for line in head if not line.startswith(b"Date:")], body


@pytest.fixture
async def gateways() -> AsyncIterator[tuple[Gateway, Gateway]]:
    """One that opens at once, and one that leaves all to aiohttp."""
    both = Gateway(at_once=True), Gateway(at_once=False)
    for each in both:
        await each.start()
    yield both
    for each in both:
        await each.runner.cleanup()


def packet(body: bytes) -> dict[str, Any]:
    """Return the packet that opens a session, without its id."""
    text = body[2:].removesuffix(PONG).removesuffix(PONG)
    assert text.startswith(b"0")
    opened: dict[str, Any] = orjson.loads(text[1:])
    del opened["sid"]
    return opened


@pytest.mark.parametrize(
    "asked",
    [
        request(),
        request(path="/socket.io?EIO=4&transport=websocket"),
        request(Origin="http://chat.example"),
        request(Authorization="Bearer x", X_Forwarded_For="10.0.0.1", Cookie="a=b; c=d"),
        request(connection="Upgrade", Connection=None),
    ],
    ids=["usual", "without a slash", "of an own page", "with further headers", "with another case"],
)
async def test_a_websocket_that_is_opened_at_once_gets_the_same_answer(
    gateways: tuple[Gateway, Gateway], asked: bytes
) -> None:
    (at_once, body), (later, other) = [await gateway.ask(asked) for gateway in gateways]
    assert gateways[0].taken == [True]
    assert at_once == later
    assert packet(body) == packet(other)


@pytest.mark.parametrize(
    "asked",
    [
        request(Origin="http://another.example"),
        request(Upgrade=None),
        request(Connection="close"),
        request(Sec_WebSocket_Version="12"),
        request(Sec_WebSocket_Key="short"),
        request(path="/socket.io/?EIO=3&transport=websocket"),
        request(path="/socket.io/?EIO=4&transport=polling"),
        request(path="/socket.io/?EIO=4&transport=websocket&sid=unknown"),
        request(path="/nowhere"),
        request(Content_Length="-1"),
        request(**{"Wrong name": "x"}),
        request(Folded="x\r\n y"),
        b"no HTTP\r\n\r\n",
    ],
)
async def test_refused_requests_are_left_to_aiohttp(gateways: tuple[Gateway, Gateway], asked: bytes) -> None:
    (at_once, _), (later, _) = [await gateway.ask(asked) for gateway in gateways]
    assert gateways[0].taken == [False]
    assert at_once == later


async def test_unusual_requests_open_websockets_by_aiohttp(gateways: tuple[Gateway, Gateway]) -> None:
    gateway, _ = gateways
    for asked in (
        [request(path="/socket.io/?transport=websocket&EIO=4")],
        [request(Sec_WebSocket_Protocol="chat")],
        [request(Title="ü")],
        [request()[:50], request()[50:]],
    ):
        head, body = await gateway.ask(*asked)
        assert head[0] == b"HTTP/1.1 101 Switching Protocols"
        assert packet(body)
    assert not any(gateway.taken)


async def test_frames_behind_the_request_are_handled(gateways: tuple[Gateway, Gateway]) -> None:
    head, body = await gateways[0].ask(request() + PING)
    assert gateways[0].taken == [True]
    assert head[0] == b"HTTP/1.1 101 Switching Protocols"
    assert body.count(PONG) == 2


async def test_a_limit_leaves_the_request_to_aiohttp(gateways: tuple[Gateway, Gateway]) -> None:
    gateway, _ = gateways
    gateway.is_full = True
    await gateway.ask(request())
    assert gateway.taken == [False]


async def test_many_that_connect_at_once_wait_for_their_turn(
    gateways: tuple[Gateway, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "ROUND_SECONDS", 0.5)
    gateway, _ = gateways
    count = 2 * pacing.AT_ONCE + 2
    asking = [asyncio.create_task(gateway.ask(request() + PING)) for _ in range(count)]
    await eventually(lambda: len(gateway.taken) == count)
    assert len(gateway.server.eio.pacing) > 0
    answers = await asyncio.gather(*asking)
    assert all(head[0] == b"HTTP/1.1 101 Switching Protocols" for head, _ in answers)
    assert all(body.count(PONG) == 2 for _, body in answers)
    assert all(gateway.taken)


async def test_a_client_that_goes_while_it_waits_leaves_nothing(
    gateways: tuple[Gateway, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "ROUND_SECONDS", 0.1)
    gateway, _ = gateways
    for _ in range(pacing.AT_ONCE + 2):
        _, writer = await gateway.connect()
        writer.write(request())
        await writer.drain()
        writer.transport.abort()
    await eventually(lambda: len(gateway.taken) == pacing.AT_ONCE + 2)
    await eventually(lambda: gateway.server.eio.count_sessions() == 0)


async def test_a_connection_without_data_becomes_aiohttp_s(
    gateways: tuple[Gateway, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "FIRST_SECONDS", 0.05)
    gateway, _ = gateways
    reader, writer = await gateway.connect()
    server = gateway.runner.server
    assert server is not None
    await eventually(lambda: server.connections)
    async with asyncio.timeout(SECONDS):
        writer.write(request())
        assert (await reader.readline()).startswith(b"HTTP/1.1 101")
    assert gateway.taken == []
    writer.close()
