"""A websocket of Parley's own keeps to RFC 6455 on a real connection, and needs neither task nor aiohttp."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, Self

import pytest
from aiohttp.test_utils import TestServer
from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol, Opcode

from clients.chat import eventually
from clients.echo_server import application
from parley.gateway.transport.frame_parser import unmask

LIMIT = 100_000
HANDSHAKE = (
    "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
DEADLINE = 5.0


class Client:
    """Sends any bytes to the echo server, and reads frames by wsproto."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.head = b""
        self._reader = reader
        self._protocol = FrameProtocol(client=True, extensions=[])
        self._frames: list[Frame] = []

    @classmethod
    async def connect(cls, server: TestServer, *, behind: bytes = b"", headers: str = "") -> Self:
        """Open a websocket; `behind` is sent together with the request."""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        client = cls(reader, writer)
        writer.write(f"{HANDSHAKE}{headers}\r\n".encode() + behind)
        async with asyncio.timeout(DEADLINE):
            client.head = await reader.readuntil(b"\r\n\r\n")
        assert (await client.next()).payload[0] == "0"
        return client

    def send(self, frames: Iterable[bytes | bytearray]) -> None:
        self.writer.write(b"".join(frames))

    async def next(self) -> Frame:
        """Return the next frame."""
        async with asyncio.timeout(DEADLINE):
            while not self._frames:
                received = await self._reader.read(65_536)
                assert received, "the server has closed the connection"
                self._protocol.receive_bytes(received)
                self._frames += self._protocol.received_frames()
        return self._frames.pop(0)

    async def text(self) -> Any:
        frame = await self.next()
        assert frame.opcode is Opcode.TEXT
        return frame.payload

    async def is_closed(self) -> bool:
        """Wait until the server closes the connection."""
        async with asyncio.timeout(DEADLINE):
            while await self._reader.read(65_536):
                pass
        return True


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with TestServer(application(max_http_buffer_size=LIMIT, unread_limit=LIMIT)) as running:
        yield running


@pytest.fixture
async def client(server: TestServer) -> AsyncIterator[Client]:
    client = await Client.connect(server)
    yield client
    client.writer.close()


def frames(*payloads: str | bytes) -> list[bytearray]:
    """Return the frames of messages, as wsproto sends them."""
    protocol = FrameProtocol(client=True, extensions=[])
    return [protocol.send_data(payload) for payload in payloads]


async def test_the_handshake_has_the_headers_of_rfc_6455(client: Client) -> None:
    lines = client.head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    assert {b"Upgrade: websocket", b"Connection: upgrade", ACCEPT} <= set(lines)


async def test_the_first_offered_subprotocol_is_accepted(server: TestServer) -> None:
    client = await Client.connect(server, headers="Sec-WebSocket-Protocol: one, two\r\n")
    assert b"Sec-WebSocket-Protocol: one\r\n" in client.head
    client.writer.close()


@pytest.mark.parametrize("size", [100, 90_000])
async def test_a_message_that_comes_with_the_handshake_is_handled(server: TestServer, size: int) -> None:
    client = await Client.connect(server, behind=b"".join(frames("4" + "x" * size)))
    received = await client.next()
    payload = received.payload
    while not received.message_finished or not received.frame_finished:
        received = await client.next()
        payload += received.payload
    assert payload == "4" + "x" * size
    client.writer.close()


async def test_a_message_in_fragments_with_a_ping_between_them_is_handled(client: Client) -> None:
    protocol = FrameProtocol(client=True, extensions=[])
    client.send(
        [
            protocol.send_data("4grü", fin=False),
            protocol.ping(b"there?"),
            protocol.send_data("", fin=False),
            protocol.send_data("ße", fin=True),
        ]
    )

    pong = await client.next()
    assert (pong.opcode, bytes(pong.payload)) == (Opcode.PONG, b"there?")
    assert await client.text() == "4grüße"


async def test_messages_are_handled_however_they_are_cut(client: Client) -> None:
    payloads = ["4" + "ä" * size for size in (0, 1, 62, 63, 30_000)]
    for byte in b"".join(frames(*payloads[:-1])):
        client.writer.write(bytes((byte,)))
        await client.writer.drain()
    client.send(frames(payloads[-1]))

    received = ""
    while len(received) < len("".join(payloads)):
        received += str((await client.next()).payload)
    assert received == "".join(payloads)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x024x", CloseReason.PROTOCOL_ERROR),
        (b"\xc1\x82\0\0\0\x004x", CloseReason.PROTOCOL_ERROR),
        (b"\x83\x80\0\0\0\0", CloseReason.PROTOCOL_ERROR),
        (b"\x80\x80\0\0\0\0", CloseReason.PROTOCOL_ERROR),
        (b"\x09\x80\0\0\0\0", CloseReason.PROTOCOL_ERROR),
        (b"\x81\x82\0\0\0\x004\xff", CloseReason.INVALID_FRAME_PAYLOAD_DATA),
        (b"\x82\xff" + LIMIT.to_bytes(8, "big") + b"\0\0\0\0", CloseReason.MESSAGE_TOO_BIG),
    ],
)
async def test_a_frame_that_breaks_the_protocol_closes_with_its_status(
    sent: bytes, code: CloseReason, client: Client
) -> None:
    client.send([sent])

    frame = await client.next()
    assert (frame.opcode, frame.payload[0]) == (Opcode.CLOSE, code)
    client.writer.write_eof()
    assert await client.is_closed()


async def test_a_close_is_echoed_and_the_server_closes_the_connection(client: Client) -> None:
    protocol = FrameProtocol(client=True, extensions=[])
    client.send([protocol.close(3001, "enough")])

    frame = await client.next()
    assert (frame.opcode, frame.payload) == (Opcode.CLOSE, (3001, ""))
    assert await client.is_closed()


async def test_a_client_that_only_half_closes_is_closed(client: Client) -> None:
    client.writer.write_eof()

    assert await client.is_closed()


async def test_a_client_that_does_not_read_is_reset(client: Client) -> None:
    async def write_for_ever() -> None:
        while True:
            client.send(frames("4" + "x" * 50_000))
            await client.writer.drain()

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(write_for_ever(), DEADLINE)


async def test_idle_websockets_have_no_task_and_are_unknown_to_aiohttp(server: TestServer) -> None:
    before = len(asyncio.all_tasks())
    clients = [await Client.connect(server) for _ in range(20)]

    await eventually(lambda: len(asyncio.all_tasks()) == before)
    assert server.runner.server is not None
    await eventually(lambda: not server.runner.server.connections)
    for client in clients:
        client.send(frames("4still here"))
        assert await client.text() == "4still here"
        client.writer.close()


async def test_polling_and_other_requests_go_on_beside_websockets(server: TestServer, client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    path = "/engine.io/?EIO=4&transport=polling"
    for _ in range(2):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        async with asyncio.timeout(DEADLINE):
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            opened = json.loads((await reader.readexactly(size))[1:])
        assert opened["upgrades"] == ["websocket"]
    writer.close()


async def test_the_mask_is_removed_from_a_large_message(client: Client) -> None:
    payload = b"4" + bytes(range(32, 127)) * 900
    mask = b"\x80\x01\xff\x7f"
    client.send([b"\x81\xff" + len(payload).to_bytes(8, "big") + mask + unmask(mask, payload)])

    received = ""
    while len(received) < len(payload):
        received += str((await client.next()).payload)
    assert received == payload.decode()
