"""The load generator's websocket: frames in any pieces, the handshake, and pings."""

import asyncio
from typing import cast

import pytest

from load.generator.connection import REQUEST, ConnectError, Connection, event, frame

UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
OPEN = b'0{"sid":"g1.abc","upgrades":[]}'


class Receiver:
    """Keeps what a connection gives."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.is_closed = False

    def on_packet(self, packet: bytes, now: float) -> None:
        self.packets.append(packet)

    def on_closed(self) -> None:
        self.is_closed = True


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_aborted = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.is_aborted = True


class Peer:
    """A connection in the hands of a test."""

    def __init__(self) -> None:
        self.receiver, self.transport = Receiver(), Transport()
        self.connection = Connection(self.receiver, b'{"token":"t"}')
        self.connection.connection_made(cast(asyncio.BaseTransport, self.transport))

    def receive(self, data: bytes, size: int) -> None:
        """Have data arrive in pieces of a size."""
        for start in range(0, len(data), size):
            self.connection.data_received(data[start : start + size])


def served(packet: bytes) -> bytes:
    """Return a packet as the frame of a server."""
    size = len(packet)
    if size < 126:
        return bytes((0x81, size)) + packet
    return (
        bytes((0x81, 126)) + size.to_bytes(2) if size < 1 << 16 else b"\x81\x7f" + size.to_bytes(8)
    ) + packet


@pytest.mark.parametrize("size", [1, 3, 1000, 1 << 20])
@pytest.mark.parametrize("length", [10, 125, 126, 40_000, 70_000])
async def test_packets_arrive_whole_whatever_the_pieces(size: int, length: int) -> None:
    peer = Peer()
    packet = b'42/chat,["newMessage","' + b"x" * length + b'"]'
    peer.receive(UPGRADED + served(OPEN) + served(b'40/chat,{"sid":"s"}') + 2 * served(packet), size)
    assert peer.receiver.packets == [packet, packet]
    assert peer.connection.sid == "g1.abc"
    assert peer.transport.written == [frame(b'40/chat,{"token":"t"}')]


async def test_a_ping_of_the_server_is_answered() -> None:
    peer = Peer()
    peer.receive(UPGRADED + served(b"2"), 1000)
    assert peer.transport.written == [frame(b"3")]


async def test_a_refused_upgrade_closes_the_connection() -> None:
    peer = Peer()
    peer.receive(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n", 7)
    assert peer.transport.is_aborted
    assert not peer.receiver.is_closed


async def test_only_a_connection_that_was_open_is_reported_as_closed() -> None:
    peer = Peer()
    peer.receive(UPGRADED + served(OPEN) + served(b"40/chat,{}"), 1000)
    peer.connection.connection_lost(None)
    assert peer.receiver.is_closed


async def test_a_connect_to_a_server_that_refuses_the_namespace_fails_with_its_words() -> None:
    answers = {REQUEST[:3].encode(): UPGRADED + served(OPEN) + served(b'44/chat,{"message":"Bad token"}')}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(answers[request[:3]])
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectError, match="Bad token"):
            await Connection.open(f"http://127.0.0.1:{port}", None, Receiver(), b"{}")


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_holds_its_length_and_a_mask_of_zeros(size: int) -> None:
    packet = b"x" * size
    data = frame(packet)
    assert data.endswith(b"\0\0\0\0" + packet)
    assert len(data) - size in {6, 8, 14}
    assert data[1] & 0x80


def test_an_event_that_wants_an_answer_has_a_number() -> None:
    assert event("sendMessage", {"a": 1}, 7) == b'42/chat,7["sendMessage",{"a":1}]'
    assert event("typing", {}) == b'42/chat,["typing",{}]'
