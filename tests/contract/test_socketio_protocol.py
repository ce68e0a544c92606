"""Parley's server follows Socket.IO 5, case by case as the protocol's own test suite has them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from clients.echo_server import TIMES, application

WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
DEADLINE = 5.0
CLOSE = "1"


class Socket:
    """A websocket on which Socket.IO is spoken by hand; pings are answered."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws

    async def send(self, *frames: str | bytes) -> None:
        for frame in frames:
            await (self._ws.send_str(frame) if isinstance(frame, str) else self._ws.send_bytes(frame))

    async def next(self) -> str | bytes | None:
        """Return the next frame that is no ping, or None when the server has closed the websocket."""
        async with asyncio.timeout(DEADLINE):
            async for message in self._ws:
                if message.data != "2":
                    data: str | bytes = message.data
                    return data
                await self._ws.send_str("3")
        return None

    async def connect(self, packet: str = "40") -> str:
        """Connect to a namespace and return the event that the echo server sends then."""
        await self.send(packet)
        prefix, _, data = str(await self.next()).partition("{")
        assert prefix == packet.partition("{")[0]
        handshake = json.loads("{" + data)
        assert list(handshake) == ["sid"]
        assert isinstance(handshake["sid"], str)
        return str(await self.next())


@asynccontextmanager
async def opened() -> AsyncIterator[Socket]:
    async with (
        TestServer(application(**TIMES)) as server,
        aiohttp.ClientSession() as http,
        http.ws_connect(server.make_url(WEBSOCKET)) as ws,
    ):
        assert (await ws.receive_str(timeout=DEADLINE)).startswith("0{")
        yield Socket(ws)


@pytest.fixture
async def socket() -> AsyncIterator[Socket]:
    """An open connection that is in no namespace."""
    async with opened() as socket:
        yield socket


@pytest.fixture
async def connected(socket: Socket) -> Socket:
    """A socket in the default namespace."""
    await socket.connect()
    return socket


@pytest.mark.parametrize(
    ("packet", "event"),
    [
        ("40", '42["auth",{}]'),
        ('40{"token":"123"}', '42["auth",{"token":"123"}]'),
        ("40/custom,", '42/custom,["auth",{}]'),
        ('40/custom,{"token":"abc"}', '42/custom,["auth",{"token":"abc"}]'),
    ],
)
async def test_a_client_connects_to_a_namespace_with_its_auth_data(
    packet: str, event: str, socket: Socket
) -> None:
    assert await socket.connect(packet) == event


@pytest.mark.parametrize("namespace", ["", "/custom,"])
async def test_a_second_connect_to_a_namespace_leaves_the_first_one_alone(
    namespace: str, socket: Socket
) -> None:
    await socket.send(f"40{namespace}", f"40{namespace}", f'42{namespace}["message","hello"]')
    answers = [str(await socket.next()) for _ in range(3)]
    assert answers[0].startswith(f'40{namespace}{{"sid":')
    assert answers[1:] == [f'42{namespace}["auth",{{}}]', f'42{namespace}["message-back","hello"]']


async def test_an_unknown_namespace_is_refused(socket: Socket) -> None:
    await socket.send("40/random")
    assert await socket.next() == '44/random,{"message":"Invalid namespace"}'


async def test_an_invalid_connect_closes_the_connection(socket: Socket) -> None:
    await socket.send("4abc")
    assert [await socket.next(), await socket.next()] == [CLOSE, None]


async def test_a_connection_stays_open_after_leaving_its_only_namespace(connected: Socket) -> None:
    await connected.send("41")
    assert await connected.connect() == '42["auth",{}]'


async def test_leaving_one_namespace_leaves_the_others_alone(connected: Socket) -> None:
    await connected.connect("40/custom,")
    await connected.send(
        "41/custom", '42/custom,["message","nobody"]', '42["message","message to main namespace"]'
    )
    assert await connected.next() == '42["message-back","message to main namespace"]'


async def test_an_event_keeps_its_arguments(connected: Socket) -> None:
    await connected.send('42["message",1,"2",{"3":[true]}]')
    assert await connected.next() == '42["message-back",1,"2",{"3":[true]}]'


async def test_an_acknowledgement_has_the_number_and_all_arguments(connected: Socket) -> None:
    await connected.send('42456["message-with-ack",1,"2",{"3":[false]}]')
    assert await connected.next() == '43456[1,"2",{"3":[false]}]'


async def test_a_binary_event_without_attachments_is_handled(connected: Socket) -> None:
    await connected.send('450-["message",1]')
    assert await connected.next() == '42["message-back",1]'


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ('452-["message",', '452-["message-back",'),
        ('452-789["message-with-ack",', "462-789["),
    ],
)
async def test_binary_attachments_follow_their_packet(sent: str, received: str, connected: Socket) -> None:
    placeholders = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    await connected.send(sent + placeholders, b"\x01\x02\x03", b"\x04\x05\x06")
    assert await connected.next() == received + placeholders
    assert await connected.next() == b"\x01\x02\x03"
    assert await connected.next() == b"\x04\x05\x06"


@pytest.mark.parametrize("frame", ["4abc", "42{}", '42abc["message-with-ack",1,"2",{"3":[false]}]'])
async def test_an_invalid_packet_closes_the_connection(frame: str, connected: Socket) -> None:
    await connected.send(frame)
    assert [await connected.next(), await connected.next()] == [CLOSE, None]
