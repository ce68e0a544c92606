"""Clients that leave in the middle of a request leave no state behind; late requests are answered."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import socketio
from aiohttp import web
from aiohttp.test_utils import TestServer

from parley.gateway.transport.server import ChatServer

POLLING = "/socket.io/?EIO=4&transport=polling"


class Chat(socketio.AsyncNamespace):  # type: ignore[misc]
    async def on_connected(self, sid: str) -> None:
        pass

    def private_id(self, sid: str) -> None:
        return None

    async def handle_event(self, sid: str, event: Any, args: list[Any], size: int) -> Any:
        return "done"


@pytest.fixture
async def sockets() -> AsyncIterator[ChatServer]:
    server = ChatServer()
    server.register_namespace(Chat("/chat"))
    yield server
    await server.shutdown()


@pytest.fixture
async def server(sockets: ChatServer) -> AsyncIterator[TestServer]:
    app = web.Application()
    sockets.attach(app)
    async with TestServer(app) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def opened(server: TestServer, http: aiohttp.ClientSession) -> str:
    """Open a polling session in the namespace and return the path of its requests."""
    greeting = await (await http.get(server.make_url(POLLING))).text()
    sid = greeting.partition('"sid":"')[2].partition('"')[0]
    path = f"{POLLING}&sid={sid}"
    assert (await http.post(server.make_url(path), data="40/chat,")).status == 200
    return path


async def test_a_packet_without_its_attachments_is_dropped_at_the_disconnect(
    sockets: ChatServer, server: TestServer, http: aiohttp.ClientSession
) -> None:
    path = await opened(server, http)
    await http.post(server.make_url(path), data='451-/chat,1["x",{"_placeholder":true,"num":0}]')
    sid = path.rpartition("=")[2]
    assert sockets.has_partial_packet(sid)

    await http.post(server.make_url(path), data="1")

    assert not sockets.has_partial_packet(sid)


async def test_packets_behind_a_protocol_violation_are_ignored(
    sockets: ChatServer, server: TestServer, http: aiohttp.ClientSession
) -> None:
    path = await opened(server, http)

    await http.post(server.make_url(path), data='4x\x1e40/chat,\x1e42/chat,1["x"]')

    assert not list(sockets.manager.get_participants("/chat", None))


async def test_requests_of_a_closed_session_are_refused(
    sockets: ChatServer, server: TestServer, http: aiohttp.ClientSession
) -> None:
    path = await opened(server, http)
    await http.post(server.make_url(path), data="1")

    for method in ("POST", "GET", "POST"):
        assert (await http.request(method, server.make_url(path), data="2")).status == 400


async def test_an_invalid_body_is_refused_whose_session_closes_meanwhile(
    sockets: ChatServer, server: TestServer, http: aiohttp.ClientSession
) -> None:
    path = await opened(server, http)
    sid = path.rpartition("=")[2]

    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        await sockets.eio.disconnect(sid)
        yield b"x"

    answer = await http.post(server.make_url(path), data=body(), headers={"Content-Length": "2"})
    assert answer.status == 400


async def test_a_second_websocket_of_an_upgrading_session_is_closed(
    server: TestServer, http: aiohttp.ClientSession
) -> None:
    """Closing the session closes only one websocket, so a second one would leak."""
    upgrade = server.make_url((await opened(server, http)).replace("polling", "websocket"))
    async with http.ws_connect(upgrade) as first:
        await first.send_str("2probe")
        assert await first.receive_str(timeout=5) == "3probe"

        async with http.ws_connect(upgrade) as second:
            assert (await second.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE

        await first.send_str("5")
        await first.send_str('42/chat,1["x"]')
        assert (await first.receive_str(timeout=5)).startswith("40/chat,")
        assert await first.receive_str(timeout=5) == '43/chat,1["done"]'


async def test_a_session_that_closes_during_its_upgrade_stays_closed(
    sockets: ChatServer, server: TestServer, http: aiohttp.ClientSession
) -> None:
    path = await opened(server, http)
    async with http.ws_connect(server.make_url(path.replace("polling", "websocket"))) as late:
        await late.send_str("2probe")
        assert await late.receive_str(timeout=5) == "3probe"
        await sockets.eio.disconnect(path.rpartition("=")[2])

        await late.send_str("5")

        assert (await late.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE


async def test_a_connection_that_connects_to_a_namespace_too_often_is_closed(
    server: TestServer, http: aiohttp.ClientSession
) -> None:
    url = server.make_url("/socket.io/?EIO=4&transport=websocket")
    async with http.ws_connect(url) as busy:
        for _ in range(200):
            await busy.send_str("40/chat,")
            await busy.send_str("41/chat,")
        received = [message.data async for message in busy]
    assert len([frame for frame in received if frame.startswith("40")]) < 50
