"""The lean and the stock client behave alike against a stock Socket.IO server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio
from aiohttp import web

from clients.socketio_lean import Disconnected, LeanSocket, Refused
from clients.socketio_stock import StockSocket

Client = type[LeanSocket] | type[StockSocket]
NAMESPACE = "/chat"
POLLING: dict[Client, dict[str, Any]] = {StockSocket: {"transports": ("polling",)}}
SOON = 5.0

pytestmark = pytest.mark.parametrize("client", [LeanSocket, StockSocket])


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Serve a few handlers on a free port."""
    server = socketio.AsyncServer(async_mode="aiohttp", namespaces=[NAMESPACE])

    async def connect(sid: str, environ: Any, auth: Any) -> None:
        if auth != {"token": "good"}:
            raise socketio.exceptions.ConnectionRefusedError("bad token")

    async def count(sid: str, upto: int) -> None:
        for number in range(upto):
            await server.emit("number", {"n": number, "text": "ü" * number}, to=sid, namespace=NAMESPACE)

    async def burst(sid: str, upto: int) -> None:
        room = [server.emit("number", number, to=sid, namespace=NAMESPACE) for number in range(upto)]
        await asyncio.gather(*room)

    async def never(sid: str) -> None:
        await asyncio.Event().wait()

    async def leave(sid: str) -> None:
        await server.disconnect(sid, namespace=NAMESPACE)
        await asyncio.Event().wait()

    server.on("connect", connect, namespace=NAMESPACE)
    server.on("echo", lambda sid, data: data, namespace=NAMESPACE)
    for handler in (count, burst, never, leave):
        server.on(handler.__name__, handler, namespace=NAMESPACE)
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    yield f"http://{host}:{port}"
    await server.shutdown()
    await runner.cleanup()


def ignore(event: str, data: Any) -> None:
    """Ignore an event."""


async def test_an_acknowledgement_carries_every_kind_of_value(client: Client, url: str) -> None:
    socket = await client.connect(url, NAMESPACE, {"token": "good"}, ignore)
    data = {"text": 'a "quoted" [word], ünïcode ✓', "list": [1, 2.5, None, True], "empty": {}}
    assert await socket.call("echo", data) == data
    assert socket.engine_sid
    await socket.close()


async def test_events_arrive_in_the_order_of_their_sending(client: Client, url: str) -> None:
    received: list[Any] = []
    whole = asyncio.Event()

    def record(event: str, data: Any) -> None:
        received.append((event, data["n"], len(data["text"])))
        if len(received) == 300:
            whole.set()

    socket = await client.connect(url, NAMESPACE, {"token": "good"}, record)
    await socket.call("count", 300)
    async with asyncio.timeout(SOON):
        await whole.wait()
    assert received == [("number", n, n) for n in range(300)]
    await socket.close()


async def test_a_polling_client_receives_more_events_than_fit_in_one_poll(client: Client, url: str) -> None:
    received: list[int] = []
    whole = asyncio.Event()

    def record(event: str, data: Any) -> None:
        received.append(data)
        if len(received) == 200:
            whole.set()

    socket = await client.connect(url, NAMESPACE, {"token": "good"}, record, **POLLING.get(client, {}))
    await socket.call("burst", 200)
    async with asyncio.timeout(SOON):
        await whole.wait()
    assert received == list(range(200))
    await socket.close()


async def test_concurrent_calls_get_their_own_answers(client: Client, url: str) -> None:
    socket = await client.connect(url, NAMESPACE, {"token": "good"}, ignore)
    answers = await asyncio.gather(*(socket.call("echo", number) for number in range(100)))
    assert answers == list(range(100))
    await socket.close()


async def test_a_message_longer_than_any_frame_buffer_arrives_whole(client: Client, url: str) -> None:
    socket = await client.connect(url, NAMESPACE, {"token": "good"}, ignore)
    text = "0123456789" * 50_000
    assert await socket.call("echo", text) == text
    await socket.close()


async def test_a_refused_client_gets_the_reason(client: Client, url: str) -> None:
    with pytest.raises(Refused, match="bad token"):
        await client.connect(url, NAMESPACE, {"token": "bad"}, ignore)


async def test_a_call_without_an_answer_ends_in_time(client: Client, url: str) -> None:
    socket = await client.connect(url, NAMESPACE, {"token": "good"}, ignore)
    with pytest.raises(TimeoutError):
        await socket.call("never", within=0.1)
    assert await socket.call("echo", "still there") == "still there"
    await socket.close()


async def test_a_socket_that_the_server_drops_is_closed_and_takes_no_calls(client: Client, url: str) -> None:
    socket = await client.connect(url, NAMESPACE, {"token": "good"}, ignore)
    with pytest.raises((Disconnected, TimeoutError)):
        await socket.call("leave", within=SOON)
    async with asyncio.timeout(SOON):
        await socket.closed.wait()
    with pytest.raises(Disconnected):
        await socket.call("echo", 1)
    await socket.close()
