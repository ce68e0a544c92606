"""A websocket connection reads when it may, writes once a loop iteration, and closes as RFC 6455 says."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from clients.chat import eventually
from parley.gateway.state.hop_delays import DelayGauge
from parley.gateway.transport import delayed_reads, websocket
from parley.gateway.transport.delayed_reads import LARGE_READ, DelayedReads
from parley.gateway.transport.frame_parser import unmask
from parley.gateway.transport.frame_writer import Flushes, frame
from parley.gateway.transport.websocket import WebSocketConnection

MASK = b"mask"
LIMIT = 1_000


def sent(opcode: int, payload: bytes = b"") -> bytes:
    """Return a client's frame."""
    return bytes((0x80 | opcode, 0x80 | len(payload))) + MASK + unmask(MASK, payload)


def text(payload: str) -> bytes:
    return sent(0x1, payload.encode())


def close(code: int) -> bytes:
    """Return the server's close frame with a status."""
    return b"\x88\x02" + code.to_bytes(2, "big")


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.unread = 0
        self.aborted = self.closing = self.paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = self.closing = True


class Receiver:
    """Records messages; reads on, and is admitted, as it is told."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.lost = 0
        self.full = False
        self.refuses: WebSocketConnection | None = None
        self.admission: asyncio.Event | None = None
        self.counted: list[int] = []

    def admit(self, size: int) -> Coroutine[Any, Any, None] | None:
        self.counted.append(size)
        return self._wait(self.admission) if self.admission is not None else None

    async def _wait(self, admission: asyncio.Event) -> None:
        await admission.wait()

    def on_message(self, data: str | bytes) -> bool:
        self.messages.append(data)
        if self.refuses is not None:
            self.refuses.delay_reading()
        return not self.full

    def on_lost(self) -> None:
        self.lost += 1


@pytest.fixture
def transport() -> Transport:
    return Transport()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def connection(transport: Transport, receiver: Receiver) -> WebSocketConnection:
    flushes, delayed = Flushes(DelayGauge()), DelayedReads()
    return WebSocketConnection(transport, receiver, flushes, delayed, message_limit=LIMIT, unread_limit=LIMIT)


async def test_frames_of_one_loop_iteration_are_written_together(
    connection: WebSocketConnection, transport: Transport
) -> None:
    connection.write(b"a")
    connection.write(b"b")
    assert transport.writes == []
    assert connection.unread_bytes == 2
    await asyncio.sleep(0)
    assert transport.writes == [b"ab"]


async def test_a_client_over_its_unread_limit_is_reset(
    connection: WebSocketConnection, transport: Transport
) -> None:
    transport.unread = LIMIT + 1
    connection.write(b"a")
    await asyncio.sleep(0)
    assert transport.aborted
    connection.write(b"b")
    await asyncio.sleep(0)
    assert transport.writes == [b"a"]


async def test_a_ping_between_fragments_is_answered_and_counted(
    connection: WebSocketConnection, transport: Transport, receiver: Receiver
) -> None:
    fragments = bytes((0x01, 0x82)) + MASK + unmask(MASK, b"he"), sent(0x0, b"llo")

    connection.data_received(fragments[0] + sent(0x9, b"there?") + fragments[1])

    await asyncio.sleep(0)
    assert transport.writes == [b"\x8a\x06there?"]
    assert receiver.messages == ["hello"]
    assert receiver.counted == [0, 6, 5]


@pytest.fixture
def short_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delayed_reads, "DELAY_SECONDS", 0.001)


@pytest.mark.usefixtures("short_delay")
async def test_a_refused_client_is_read_again_after_a_while(
    connection: WebSocketConnection, transport: Transport, receiver: Receiver
) -> None:
    receiver.refuses = connection
    for _ in range(3):
        connection.data_received(text("one") + text("two"))
        assert transport.paused
        await eventually(lambda: not transport.paused)
    assert receiver.messages == ["one", "two"] * 3

    receiver.refuses = None
    connection.data_received(text("three"))
    assert not transport.paused


async def test_a_refused_client_that_sends_much_at_once_is_not_delayed(
    connection: WebSocketConnection, transport: Transport, receiver: Receiver
) -> None:
    receiver.refuses = connection
    connection.data_received(text("x" * 100) * (LARGE_READ // 100))
    assert not transport.paused


@pytest.mark.usefixtures("short_delay")
async def test_a_refused_client_is_not_read_after_its_delay_while_its_receiver_is_full(
    connection: WebSocketConnection, transport: Transport, receiver: Receiver
) -> None:
    receiver.refuses, receiver.full = connection, True
    connection.data_received(text("one"))
    receiver.refuses, receiver.full = None, False
    await asyncio.sleep(0.005)
    assert transport.paused

    connection.read_on()

    assert not transport.paused


@pytest.mark.usefixtures("short_delay")
async def test_a_client_whose_receiver_has_room_again_is_read_after_its_delay(
    connection: WebSocketConnection, transport: Transport, receiver: Receiver
) -> None:
    receiver.refuses = connection
    connection.data_received(text("one"))
    receiver.full = True
    connection.data_received(text("two"))
    connection.read_on()
    assert transport.paused
    await eventually(lambda: not transport.paused)


async def test_a_client_is_not_read_while_its_receiver_is_full(
    connection: WebSocketConnection, transport: Transport, receiver: Receiver
) -> None:
    receiver.full = True
    connection.data_received(text("one") + text("two"))
    assert (receiver.messages, transport.paused) == (["one"], True)

    receiver.full = False
    connection.read_on()

    assert (receiver.messages, transport.paused) == (["one", "two"], False)
    connection.read_on()


async def test_a_message_waits_until_it_is_admitted_and_those_behind_it_too(
    connection: WebSocketConnection, transport: Transport, receiver: Receiver
) -> None:
    receiver.admission = admission = asyncio.Event()
    connection.data_received(text("one") + text("two"))
    await asyncio.sleep(0)
    assert (receiver.messages, transport.paused) == ([], True)

    receiver.admission = None
    admission.set()

    await eventually(lambda: receiver.messages == ["one", "two"])
    assert not transport.paused


async def test_messages_are_not_handled_after_reading_was_stopped(
    connection: WebSocketConnection, transport: Transport, receiver: Receiver
) -> None:
    connection.stop_reading()
    connection.data_received(text("late"))
    connection.read_on()

    assert transport.paused
    assert receiver.messages == []


async def test_a_close_frame_is_echoed_and_ends_the_connection(
    connection: WebSocketConnection, transport: Transport, receiver: Receiver
) -> None:
    connection.write(frame("before"))
    connection.data_received(sent(0x8, (1001).to_bytes(2, "big") + b"bye") + text("late"))

    assert transport.writes == [frame("before") + close(1001)]
    assert (transport.closing, receiver.lost, receiver.messages) == (True, 1, [])
    connection.connection_lost(None)
    assert receiver.lost == 1


async def test_a_close_frame_without_a_status_is_echoed_without_one(
    connection: WebSocketConnection, transport: Transport
) -> None:
    connection.data_received(sent(0x8))
    assert transport.writes == [b"\x88\x00"]


async def test_a_frame_that_breaks_the_protocol_is_answered_by_its_status(
    connection: WebSocketConnection, transport: Transport, receiver: Receiver
) -> None:
    connection.data_received(text("good") + b"\x81\x01x" + text("late"))
    connection.data_received(text("later"))

    assert receiver.messages == ["good"]
    assert receiver.lost == 1
    assert transport.writes == [close(1002)]


async def test_a_closing_connection_waits_for_the_answer_of_its_client(
    connection: WebSocketConnection, transport: Transport, receiver: Receiver
) -> None:
    connection.stop_reading()
    connection.close(code=1001)
    assert (transport.writes, transport.closing, transport.paused) == ([close(1001)], False, False)
    assert receiver.lost == 1

    connection.write(frame("late"))
    connection.data_received(text("late") + sent(0x8, (1001).to_bytes(2, "big")))

    assert transport.closing
    assert receiver.messages == []
    await asyncio.sleep(0)
    assert transport.writes == [close(1001)]


@pytest.mark.parametrize("code", [None, 1001])
async def test_a_client_that_does_not_take_the_end_is_cut_off(
    code: int | None,
    connection: WebSocketConnection,
    transport: Transport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.01)
    connection.close(code=code)
    connection.close(code=code)

    await eventually(lambda: transport.aborted)


async def test_a_close_writes_what_has_gathered(
    connection: WebSocketConnection, transport: Transport, receiver: Receiver
) -> None:
    connection.write(frame("1"))
    connection.close()
    assert transport.writes == [frame("1")]
    assert transport.closing

    connection.connection_lost(None)
    assert receiver.lost == 1
