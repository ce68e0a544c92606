"""What clients leave half done when they go: nothing of it stays, and what comes behind it has an answer."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import socketio
from aiohttp import web
from aiohttp.test_utils import TestServer

from parley.gateway.transport import json
from parley.gateway.transport import lean_websocket as connection
from parley.gateway.transport.packets import ClientPacket
from parley.gateway.transport.server import ChatServer

POLLING = "/socket.io/?EIO=4&transport=polling"


class Welcoming(socketio.AsyncNamespace):  # type: ignore[misc]
    async def on_connected(self, sid: str) -> None:
        pass

    def private_id(self, sid: str) -> None:
        return None

    async def handle_event(self, sid: str, event: Any, args: list[Any]) -> Any:
        return "heard"


@pytest.fixture
async def sockets() -> AsyncIterator[ChatServer]:
    server = ChatServer(async_mode="aiohttp", async_handlers=False, serializer=ClientPacket, json=json)
    connection.install(server.eio, 1 << 20)
    server.register_namespace(Welcoming("/chat"))
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
    """The path of a session that is in the namespace."""
    greeting = await (await http.get(server.make_url(POLLING))).text()
    sid = greeting.partition('"sid":"')[2].partition('"')[0]
    path = f"{POLLING}&sid={sid}"
    assert (await http.post(server.make_url(path), data="40/chat,")).status == 200
    return path


async def test_attachments_that_never_come_are_not_waited_for(
    sockets: ChatServer, server: TestServer, http: aiohttp.ClientSession
) -> None:
    path = await opened(server, http)
    await http.post(server.make_url(path), data='451-/chat,1["x",{"_placeholder":true,"num":0}]')
    assert len(sockets._binary_packet) == 1

    await http.post(server.make_url(path), data="1")

    assert sockets._binary_packet == {}


async def test_nobody_comes_in_behind_what_has_closed_the_connection(
    sockets: ChatServer, server: TestServer, http: aiohttp.ClientSession
) -> None:
    path = await opened(server, http)

    await http.post(server.make_url(path), data='4x\x1e40/chat,\x1e42/chat,1["x"]')

    assert not list(sockets.manager.get_participants("/chat", None))


async def test_a_session_that_is_over_is_told_to_be(
    sockets: ChatServer, server: TestServer, http: aiohttp.ClientSession
) -> None:
    path = await opened(server, http)
    await http.post(server.make_url(path), data="1")

    for method in ("POST", "GET", "POST"):
        assert (await http.request(method, server.make_url(path), data="2")).status == 400


async def test_a_wrong_body_whose_session_ends_while_it_comes_has_an_answer(
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


async def test_of_two_connections_that_take_over_from_polling_only_one_is_let(
    server: TestServer, http: aiohttp.ClientSession
) -> None:
    """The other would stay when the session ends, and nobody would know of it."""
    upgrade = server.make_url((await opened(server, http)).replace("polling", "websocket"))
    async with http.ws_connect(upgrade) as first:
        await first.send_str("2probe")
        assert await first.receive_str(timeout=5) == "3probe"

        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(upgrade)

        assert refused.value.status == 400
        await first.send_str("5")
        await first.send_str('42/chat,1["x"]')
        assert (await first.receive_str(timeout=5)).startswith("40/chat,")
        assert await first.receive_str(timeout=5) == '43/chat,1["heard"]'


async def test_a_session_that_has_ended_meanwhile_is_not_taken_over(
    sockets: ChatServer, server: TestServer, http: aiohttp.ClientSession
) -> None:
    path = await opened(server, http)
    async with http.ws_connect(server.make_url(path.replace("polling", "websocket"))) as late:
        await late.send_str("2probe")
        assert await late.receive_str(timeout=5) == "3probe"
        await sockets.eio.disconnect(path.rpartition("=")[2])

        await late.send_str("5")

        assert (await late.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE


async def test_a_connection_that_enters_a_namespace_again_and_again_is_closed(
    server: TestServer, http: aiohttp.ClientSession
) -> None:
    url = server.make_url("/socket.io/?EIO=4&transport=websocket")
    async with http.ws_connect(url) as busy:
        for _ in range(200):
            await busy.send_str("40/chat,")
            await busy.send_str("41/chat,")
        heard = [message.data async for message in busy]
    assert len([frame for frame in heard if frame.startswith("40")]) < 50
