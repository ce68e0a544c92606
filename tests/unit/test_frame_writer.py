"""Frames follow RFC 6455 and are written once a loop iteration."""

import asyncio

import pytest
from wsproto.frame_protocol import FrameProtocol, Opcode

from parley.gateway.state.hop_delays import DelayGauge
from parley.gateway.transport.frame_writer import Flushes, control_frame, frame


class Connection:
    def __init__(self) -> None:
        self.flushed = 0

    def flush(self) -> None:
        self.flushed += 1


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 2_047, 2_048, 65_535, 65_536, 100_000])
def test_frames_of_every_size_are_read_as_they_were_written(size: int) -> None:
    text = "ü" * (size // 2) + "x" * (size % 2)
    reader = FrameProtocol(client=True, extensions=[])
    reader.receive_bytes(frame(text) + frame(text.encode()))
    read = list(reader.received_frames())
    assert [(f.opcode, f.message_finished) for f in read] == [(Opcode.TEXT, True), (Opcode.BINARY, True)]
    assert read[0].payload == text
    assert bytes(read[1].payload) == text.encode()


def test_control_frames_are_read_as_they_were_written() -> None:
    reader = FrameProtocol(client=True, extensions=[])
    reader.receive_bytes(control_frame(0xA, b"x" * 125) + control_frame(0x8, b"\x03\xe9"))
    pong, close = reader.received_frames()
    assert (pong.opcode, bytes(pong.payload)) == (Opcode.PONG, b"x" * 125)
    assert (close.opcode, close.payload[0]) == (Opcode.CLOSE, 1001)


async def test_connections_are_flushed_once_in_the_next_loop_iteration() -> None:
    flushes, one, other = Flushes(DelayGauge()), Connection(), Connection()
    flushes.add(one)
    flushes.add(other)
    assert not one.flushed
    await asyncio.sleep(0)
    assert (one.flushed, other.flushed) == (1, 1)
    await asyncio.sleep(0)
    assert one.flushed == 1


async def test_a_connection_that_is_added_while_others_are_flushed_is_flushed_too() -> None:
    flushes, other = Flushes(DelayGauge()), Connection()

    class Writing(Connection):
        def flush(self) -> None:
            super().flush()
            flushes.add(other)

    flushes.add(Writing())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert other.flushed == 1
