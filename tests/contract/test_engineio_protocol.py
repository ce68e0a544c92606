"""Parley's transport follows Engine.IO 4, case by case as the protocol's own test suite has them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from clients.echo_server import PING_INTERVAL, PING_TIMEOUT, TIMES, application

PATHS = ("/engine.io/", "/socket.io/")
DEADLINE = 5.0
LIMIT = 1_000_000


class Client:
    """Speaks Engine.IO by hand to one path of the echo server."""

    def __init__(self, server: TestServer, http: aiohttp.ClientSession, path: str) -> None:
        self._server = server
        self._http = http
        self._path = path

    def url(self, query: str) -> Any:
        return self._server.make_url(f"{self._path}?{query}")

    async def request(self, method: str, query: str, body: Any = None) -> tuple[int, str]:
        async with self._http.request(method, self.url(query), data=body) as response:
            return response.status, await response.text()

    async def open(self) -> str:
        """Open a polling session and return the query of its requests."""
        status, text = await self.request("GET", "EIO=4&transport=polling")
        assert (status, text[0]) == (200, "0")
        return f"EIO=4&transport=polling&sid={json.loads(text[1:])['sid']}"

    def websocket(self, query: str = "EIO=4&transport=websocket") -> Any:
        return self._http.ws_connect(self.url(query))


@pytest.fixture(params=PATHS)
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async with TestServer(application(**TIMES)) as server, aiohttp.ClientSession() as http:
        yield Client(server, http, request.param)


@pytest.fixture
async def engine() -> AsyncIterator[Client]:
    """A client of the bare Engine.IO server, which sends each message back."""
    async with TestServer(application(**TIMES)) as server, aiohttp.ClientSession() as http:
        yield Client(server, http, "/engine.io/")


def assert_handshake(packet: str, upgrades: list[str]) -> None:
    assert packet[0] == "0"
    handshake = json.loads(packet[1:])
    assert isinstance(handshake.pop("sid"), str)
    assert handshake == {
        "upgrades": upgrades,
        "pingInterval": round(PING_INTERVAL * 1000),
        "pingTimeout": round(PING_TIMEOUT * 1000),
        "maxPayload": LIMIT,
    }


async def next_frame(ws: aiohttp.ClientWebSocketResponse) -> Any:
    async with asyncio.timeout(DEADLINE):
        return (await ws.receive()).data


async def is_closed(ws: aiohttp.ClientWebSocketResponse) -> bool:
    """Read until the server closes the websocket, without answering pings."""
    async with asyncio.timeout(DEADLINE):
        async for _ in ws:
            pass
    return ws.closed


# Handshakes.


async def test_a_polling_handshake_contains_the_limits(client: Client) -> None:
    status, text = await client.request("GET", "EIO=4&transport=polling")
    assert status == 200
    assert_handshake(text, ["websocket"])


async def test_a_websocket_handshake_contains_the_limits_and_no_upgrade(client: Client) -> None:
    async with client.websocket() as ws:
        assert_handshake(await next_frame(ws), [])


@pytest.mark.parametrize("version", ["", "&EIO=abc", "&EIO=3", "&EIO=4&EIO=4"])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_handshake_of_an_unknown_version_is_refused(
    version: str, transport: str, client: Client
) -> None:
    assert (await client.request("GET", f"transport={transport}{version}"))[0] == 400
    with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
        await client.websocket(f"transport={transport}{version}")


@pytest.mark.parametrize("transport", ["", "&transport=", "&transport=abc", "&transport=webtransport"])
async def test_a_handshake_of_an_unknown_transport_is_refused(transport: str, client: Client) -> None:
    assert (await client.request("GET", f"EIO=4{transport}"))[0] == 400
    with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
        await client.websocket(f"EIO=4{transport}")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD"])
async def test_a_handshake_by_another_method_than_get_is_refused(method: str, client: Client) -> None:
    assert (await client.request(method, "EIO=4&transport=polling"))[0] == 400


async def test_a_websocket_handshake_without_an_upgrade_header_opens_no_session(client: Client) -> None:
    assert (await client.request("GET", "EIO=4&transport=websocket"))[0] == 400
    assert (await client.request("POST", "EIO=4&transport=websocket"))[0] == 400


# Messages.


@pytest.mark.parametrize(
    "body", ["4hello", "4test1\x1e4test2\x1e4test3", "4hello\x1ebAQIDBA==", "4" + "x" * 5_000]
)
async def test_a_posted_payload_is_echoed_to_the_next_poll(body: str, engine: Client) -> None:
    query = await engine.open()
    assert await engine.request("POST", query, body) == (200, "ok")
    assert await engine.request("GET", query) == (200, body)


async def test_a_body_without_a_length_is_read_whole(engine: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"4he"
        yield b"llo"

    query = await engine.open()
    assert await engine.request("POST", query, pieces()) == (200, "ok")
    assert await engine.request("GET", query) == (200, "4hello")


@pytest.mark.parametrize(
    "body", ["abc", "4ok\x1eabc", "4ok\x1e9", "bnot base64!", b"\xff", "4" * (LIMIT + 1)]
)
async def test_an_invalid_payload_closes_the_session(body: Any, engine: Client) -> None:
    query = await engine.open()
    assert (await engine.request("POST", query, body))[0] == 400
    assert (await engine.request("GET", query))[0] == 400


async def test_a_body_without_a_length_over_the_limit_closes_the_session(engine: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield b"4" * 100_000

    query = await engine.open()
    assert (await engine.request("POST", query, pieces()))[0] == 400
    assert (await engine.request("GET", query))[0] == 400


async def test_a_second_poll_closes_the_session(client: Client) -> None:
    query = await client.open()
    first = asyncio.create_task(client.request("GET", query))
    await asyncio.sleep(0.05)

    assert (await client.request("GET", query))[0] == 400

    assert await first == (200, "1")
    assert (await client.request("GET", query))[0] == 400


@pytest.mark.parametrize("message", ["4hello", b"\x01\x02\x03\x04"])
async def test_a_websocket_message_is_echoed(message: str | bytes, engine: Client) -> None:
    async with engine.websocket() as ws:
        await next_frame(ws)
        await (ws.send_str(message) if isinstance(message, str) else ws.send_bytes(message))
        assert await next_frame(ws) == message


@pytest.mark.parametrize("frame", ["abc", "", "9"])
async def test_an_invalid_frame_closes_the_websocket(frame: str, client: Client) -> None:
    async with client.websocket() as ws:
        await next_frame(ws)
        await ws.send_str(frame)
        assert await is_closed(ws)


# Heartbeats.


async def test_a_polling_session_lives_as_long_as_pings_are_answered(client: Client) -> None:
    query = await client.open()
    for _ in range(3):
        assert await client.request("GET", query) == (200, "2")
        assert await client.request("POST", query, "3") == (200, "ok")


async def test_a_polling_session_closes_after_a_ping_timeout(client: Client) -> None:
    query = await client.open()
    await asyncio.sleep(PING_INTERVAL + PING_TIMEOUT + 0.02)
    assert (await client.request("GET", query))[0] == 400


async def test_a_websocket_lives_as_long_as_pings_are_answered(client: Client) -> None:
    async with client.websocket() as ws:
        await next_frame(ws)
        for _ in range(3):
            assert await next_frame(ws) == "2"
            await ws.send_str("3")
        assert not ws.closed


async def test_a_websocket_closes_after_a_ping_timeout(client: Client) -> None:
    async with client.websocket() as ws:
        assert await is_closed(ws)


# Closing.


async def test_a_client_that_closes_its_session_ends_its_own_poll(client: Client) -> None:
    query = await client.open()
    poll = asyncio.create_task(client.request("GET", query))
    await asyncio.sleep(0.05)

    assert await client.request("POST", query, "1") == (200, "ok")

    assert await poll == (200, "6")
    assert (await client.request("GET", query))[0] == 400
    assert (await client.request("POST", query, "4x"))[0] == 400


async def test_a_client_can_close_its_websocket_session(client: Client) -> None:
    async with client.websocket() as ws:
        await next_frame(ws)
        await ws.send_str("1")
        assert await is_closed(ws)


# Upgrades.


async def test_a_polling_session_upgrades_to_a_websocket(engine: Client) -> None:
    query = await engine.open()
    async with engine.websocket(query.replace("polling", "websocket")) as ws:
        await ws.send_str("2probe")
        assert await next_frame(ws) == "3probe"
        assert await engine.request("GET", query) == (200, "6")

        await ws.send_str("5")
        await ws.send_str("4hello")

        assert await next_frame(ws) == "4hello"


@pytest.fixture
async def upgraded(engine: Client) -> AsyncIterator[tuple[str, aiohttp.ClientWebSocketResponse]]:
    """Return the query and the websocket of an upgraded session."""
    query = await engine.open()
    async with engine.websocket(query.replace("polling", "websocket")) as ws:
        await ws.send_str("2probe")
        await ws.send_str("5")
        assert await next_frame(ws) == "3probe"
        yield query, ws


async def test_requests_of_an_upgraded_session_are_refused(
    engine: Client, upgraded: tuple[str, aiohttp.ClientWebSocketResponse]
) -> None:
    query, ws = upgraded
    assert (await engine.request("GET", query))[0] == 400
    assert (await engine.request("POST", query, "4x"))[0] == 400
    await ws.send_str("4hello")
    assert await next_frame(ws) == "4hello"


async def test_a_second_websocket_of_an_upgraded_session_is_closed(
    engine: Client, upgraded: tuple[str, aiohttp.ClientWebSocketResponse]
) -> None:
    query, ws = upgraded
    async with engine.websocket(query.replace("polling", "websocket")) as second:
        assert await is_closed(second)
    await ws.send_str("4hello")
    assert await next_frame(ws) == "4hello"


async def test_a_failed_probe_leaves_the_session_polling(engine: Client) -> None:
    query = await engine.open()
    async with engine.websocket(query.replace("polling", "websocket")) as ws:
        await ws.send_str("2other")
        assert await is_closed(ws)
    assert await engine.request("POST", query, "4hello") == (200, "ok")
    assert await engine.request("GET", query) == (200, "4hello")


async def test_a_websocket_that_is_lost_at_once_leaves_the_session_polling(engine: Client) -> None:
    query = await engine.open()
    url = engine.url(query.replace("polling", "websocket"))
    handshake = (
        f"GET {url.path_qs} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", url.port)
        writer.write(handshake.encode())
        await asyncio.sleep(0)
        writer.transport.abort()

    assert await engine.request("POST", query, "4hello") == (200, "ok")
    async with asyncio.timeout(DEADLINE):
        while "4hello" not in (await engine.request("GET", query))[1]:
            pass
