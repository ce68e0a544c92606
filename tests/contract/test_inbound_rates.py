"""Bytes of clients are counted by session and by address, before they are read, with a token or without."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from clients.chat import eventually
from parley.gateway.state.rates import Rate, Rates
from parley.gateway.transport.inbound_rates import PACKET_BYTES
from parley.gateway.transport.polling import MAX_PACKETS
from parley.gateway.transport.server import ChatServer
from parley.gateway.transport.trusted_proxies import TrustedProxies

SECONDS = 1.0
OF_SESSION, OF_ADDRESS = 64 * 1024, 256 * 1024
POLLING = "/socket.io/?EIO=4&transport=polling"
LIMITS = Rates({"session_bytes": Rate(1_000, OF_SESSION), "address_bytes": Rate(1_000, OF_ADDRESS)})


class Recorder(ChatServer):
    """Records the packets that reach Socket.IO."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.received: list[Any] = []

    async def on_engine_message(self, eio_sid: str, data: Any) -> None:
        self.received.append(data)


@pytest.fixture(params=[LIMITS])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[tuple[TestServer, Recorder]]:
    app = web.Application()
    sockets = Recorder(
        rates=request.param, proxies=TrustedProxies(["127.0.0.0/8"]), max_http_buffer_size=1 << 20
    )
    sockets.attach(app, "socket.io")
    async with TestServer(app) as server:
        yield server, sockets
        await sockets.shutdown()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def open_session(server: TestServer, http: aiohttp.ClientSession, address: str) -> str:
    """Open a polling session from an address; returns its path."""
    headers = {"X-Forwarded-For": address}
    async with http.get(server.make_url(POLLING), headers=headers) as answer:
        return f"{POLLING}&sid={json.loads((await answer.text())[1:])['sid']}"


async def post(
    server: TestServer, http: aiohttp.ClientSession, path: str, body: Any, address: str
) -> tuple[int, Any]:
    headers = {"X-Forwarded-For": address}
    async with http.post(server.make_url(path), data=body, headers=headers) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text != "ok" else text


def body(packets: Iterable[str]) -> str:
    return "\x1e".join(packets)


@pytest.mark.parametrize("served", [Rates({})], indirect=True)
async def test_a_body_has_a_largest_number_of_packets(
    served: tuple[TestServer, Recorder], http: aiohttp.ClientSession
) -> None:
    server, sockets = served
    path = await open_session(server, http, "203.0.113.1")
    assert await post(server, http, path, body(["4x"] * MAX_PACKETS), "203.0.113.1") == (200, "ok")
    assert len(sockets.received) == MAX_PACKETS
    status, _ = await post(server, http, path, body(["4x"] * (MAX_PACKETS + 1)), "203.0.113.1")
    assert status == 400
    assert len(sockets.received) == MAX_PACKETS


async def test_a_session_that_sends_too_much_is_refused_and_closed(
    served: tuple[TestServer, Recorder], http: aiohttp.ClientSession
) -> None:
    server, sockets = served
    address = "203.0.113.2"
    path = await open_session(server, http, address)
    statuses = [(await post(server, http, path, "4" + "x" * 30_000, address))[0] for _ in range(3)]
    assert statuses == [200] * 3
    status, refused = await post(server, http, path, "4x", address)
    assert (status, refused["error"]["code"], refused["error"]["retryable"]) == (429, "RATE_LIMITED", True)
    assert refused["error"]["retryAfter"] > 0
    assert (await post(server, http, path, "4x", address))[0] == 400
    assert len(sockets.received) == 3
    other = await open_session(server, http, address)
    assert await post(server, http, other, "4x", address) == (200, "ok")


async def test_short_packets_count_for_what_they_cost(
    served: tuple[TestServer, Recorder], http: aiohttp.ClientSession
) -> None:
    server, _ = served
    address = "203.0.113.3"
    path = await open_session(server, http, address)
    packets = OF_SESSION // PACKET_BYTES + 1
    assert (await post(server, http, path, body(["3"] * packets), address))[0] == 200
    assert (await post(server, http, path, "3", address))[0] == 429


async def test_the_sessions_of_an_address_share_a_limit_and_other_addresses_do_not_notice(
    served: tuple[TestServer, Recorder], http: aiohttp.ClientSession
) -> None:
    server, _ = served
    ours, theirs = "203.0.113.4", "203.0.113.5"
    statuses = []
    for _ in range(6):
        path = await open_session(server, http, ours)
        statuses.append((await post(server, http, path, "4" + "x" * 60_000, ours))[0])
    assert statuses[:4] == [200] * 4
    assert statuses[-1] == 429
    path = await open_session(server, http, theirs)
    assert await post(server, http, path, "4x", theirs) == (200, "ok")


async def test_a_body_is_counted_before_it_is_read(
    served: tuple[TestServer, Recorder], http: aiohttp.ClientSession
) -> None:
    server, _ = served
    address = "203.0.113.6"
    path = await open_session(server, http, address)
    assert (await post(server, http, path, "4" + "x" * (OF_SESSION + 1_000), address))[0] == 200
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {address}\r\nContent-Length: 100\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head.encode())
    async with asyncio.timeout(5 * SECONDS):
        assert b" 429 " in await reader.readline()
    writer.close()


async def test_a_websocket_that_sends_too_much_is_read_at_its_rate_only(
    served: tuple[TestServer, Recorder], http: aiohttp.ClientSession
) -> None:
    server, sockets = served
    url = server.make_url("/socket.io/?EIO=4&transport=websocket")
    # Its server does not read the close frame.
    soon = aiohttp.ClientWSTimeout(ws_close=0.1)
    async with http.ws_connect(url, headers={"X-Forwarded-For": "203.0.113.7"}, timeout=soon) as ws:
        await ws.receive_str(timeout=5)
        for _ in range(5):
            await ws.send_str("4" + "x" * 40_000)
        await eventually(lambda: len(sockets.received) == 2)
        async with http.ws_connect(url, headers={"X-Forwarded-For": "203.0.113.8"}) as neighbour:
            await neighbour.receive_str(timeout=5)
            await neighbour.send_str("4hello")
            await eventually(lambda: "hello" in sockets.received)
        assert len(sockets.received) == 3


async def test_a_websocket_that_upgrades_is_answered_at_its_rate_only(
    served: tuple[TestServer, Recorder], http: aiohttp.ClientSession
) -> None:
    server, _ = served
    path = await open_session(server, http, "203.0.113.10")
    url = server.make_url(path.replace("polling", "websocket"))
    async with http.ws_connect(url, autoping=False, timeout=aiohttp.ClientWSTimeout(ws_close=0.1)) as ws:
        for _ in range(4 * OF_SESSION // PACKET_BYTES):
            await ws.ping()
        pongs = 0
        with suppress(TimeoutError):
            while (await ws.receive(timeout=SECONDS / 2)).type is aiohttp.WSMsgType.PONG:
                pongs += 1
        assert 0 < pongs < 2 * OF_SESSION // PACKET_BYTES


@pytest.mark.parametrize("served", [Rates({})], indirect=True)
async def test_a_body_of_many_packets_does_not_block_the_event_loop(
    served: tuple[TestServer, Recorder], http: aiohttp.ClientSession
) -> None:
    server, sockets = served
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += len(sockets.received) not in (0, MAX_PACKETS)

    path = await open_session(server, http, "203.0.113.9")
    counting = asyncio.create_task(count_turns())
    started = time.monotonic()
    assert (await post(server, http, path, body(["4x"] * MAX_PACKETS), "203.0.113.9"))[0] == 200
    counting.cancel()
    assert turns >= MAX_PACKETS // 100
    assert time.monotonic() - started < 5 * SECONDS
