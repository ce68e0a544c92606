"""Frames follow RFC 6455, packets stay in order, and unread bytes are bounded."""

import asyncio

import pytest
from engineio import packet as eio
from wsproto.frame_protocol import FrameProtocol, Opcode

from parley.gateway.transport.frame_writer import FrameWriter, frame
from parley.gateway.transport.packet_queue import PacketQueue


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.unread = 0
        self.aborted = self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = self.closing = True


def message(text: str) -> eio.Packet:
    return eio.Packet(eio.MESSAGE, text)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 100_000])
def test_frames_of_every_size_are_read_as_they_were_written(size: int) -> None:
    text = "ü" * (size // 2) + "x" * (size % 2)
    reader = FrameProtocol(client=True, extensions=[])
    reader.receive_bytes(frame(text) + frame(text.encode()))
    read = list(reader.received_frames())
    assert [(f.opcode, f.message_finished) for f in read] == [(Opcode.TEXT, True), (Opcode.BINARY, True)]
    assert read[0].payload == text
    assert bytes(read[1].payload) == text.encode()


async def test_frames_of_one_loop_iteration_are_written_together() -> None:
    transport = Transport()
    writer = FrameWriter(transport, 1000)
    writer.write(b"a")
    writer.write(b"b")
    assert transport.writes == []
    await asyncio.sleep(0)
    assert transport.writes == [b"ab"]


async def test_a_client_over_its_unread_limit_is_reset() -> None:
    transport = Transport()
    writer = FrameWriter(transport, 1000)
    transport.unread = 1001
    writer.write(b"a")
    await asyncio.sleep(0)
    assert transport.aborted
    writer.write(b"b")
    await asyncio.sleep(0)
    assert transport.writes == [b"a"]


async def test_packets_queued_while_polling_are_written_first() -> None:
    queue, transport = PacketQueue(), Transport()
    queue.put_nowait(message("one"))
    queue.put_nowait(eio.Packet(eio.NOOP))
    queue.use_writer(FrameWriter(transport, 1000))
    await queue.put(message("two"))
    await asyncio.sleep(0)
    assert b"".join(transport.writes) == frame("4one") + frame("4two")


async def test_a_close_packet_is_written_before_the_transport_closes() -> None:
    queue, transport = PacketQueue(), Transport()
    queue.use_writer(FrameWriter(transport, 1000))
    queue.put_nowait(eio.Packet(eio.CLOSE))
    assert transport.writes == [frame("1")]
    assert transport.closing


async def test_a_queue_over_its_limit_shows_it_until_the_client_reads() -> None:
    queue = PacketQueue(limit=10)
    queue.put_nowait(message("x" * 10))
    assert not queue.over_limit
    queue.put_nowait(message("x"))
    assert queue.over_limit
    queue.get_nowait()
    assert not queue.over_limit
