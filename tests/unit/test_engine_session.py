"""An Engine.IO session keeps packets in order when it moves to a websocket, and shows what is unread."""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest
from engineio import packet as eio

from clients.chat import eventually
from parley.gateway.transport.engine_server import EngineServer
from parley.gateway.transport.engine_session import EngineSession
from parley.gateway.transport.frame_writer import frame
from parley.gateway.transport.websocket import WebSocketConnection


class Writer:
    def __init__(self) -> None:
        self.written = b""
        self.closed = self.flushed = False
        self.unread_bytes = 0

    def write(self, frames: bytes) -> None:
        self.written += frames

    def flush(self) -> None:
        self.flushed = True

    def close(self, code: int | None = None) -> None:
        self.closed = True


@pytest.fixture
def session() -> EngineSession:
    return EngineSession(EngineServer(unread_limit=10), "sid")


def message(text: str) -> eio.Packet:
    return eio.Packet(eio.MESSAGE, text)


async def test_packets_queued_while_polling_are_written_first(session: EngineSession) -> None:
    writer = Writer()
    session.put_nowait(message("one"))
    session.put_nowait(eio.Packet(eio.NOOP))
    session.use_websocket(cast(WebSocketConnection, writer))
    await session.send(message("two"))
    assert writer.written == frame("4one") + frame("4two")


async def test_a_flush_writes_to_the_websocket_at_once_and_keeps_what_waits_for_a_poll(
    session: EngineSession,
) -> None:
    session.put_nowait(message("one"))
    session.flush()
    writer = Writer()
    session.use_websocket(cast(WebSocketConnection, writer))
    session.flush()
    assert (writer.written, writer.flushed) == (frame("4one"), True)


async def test_a_close_packet_is_written_before_the_websocket_closes(session: EngineSession) -> None:
    writer = Writer()
    session.use_websocket(cast(WebSocketConnection, writer))
    session.put_nowait(eio.Packet(eio.CLOSE))
    assert (writer.written, writer.closed) == (frame("1"), True)


async def test_a_session_over_its_limit_shows_it_until_the_client_reads(session: EngineSession) -> None:
    session.put_nowait(message("x" * 10))
    assert (session.over_limit, session.unread_ratio) == (False, 1.0)
    session.put_nowait(message("x"))
    assert session.over_limit
    await session.poll()
    assert (session.over_limit, session.unread_ratio) == (False, 0.0)


async def test_a_websocket_shows_its_unread_bytes(session: EngineSession) -> None:
    writer = Writer()
    session.use_websocket(cast(WebSocketConnection, writer))
    writer.unread_bytes = 5
    assert (session.over_limit, session.unread_ratio) == (False, 0.5)


@pytest.mark.parametrize("end", ["x", "1"])
async def test_packets_before_the_end_are_handled_first(end: str) -> None:
    server, received = EngineServer(async_handlers=False), []

    async def on_message(_sid: str, data: str) -> None:
        await asyncio.sleep(0)
        received.append(data)

    async def on_disconnect(_sid: str, reason: Any) -> None:
        received.append(reason)

    server.on("message", on_message)
    server.on("disconnect", on_disconnect)
    session = EngineSession(server, "sid")
    session.use_websocket(cast(WebSocketConnection, Writer()))

    for packet in ("4one", end, "4two"):
        if not session.on_message(packet):
            break
    await eventually(lambda: session.closed)

    reason = server.reason.TRANSPORT_ERROR if end == "x" else server.reason.CLIENT_DISCONNECT
    assert received[:2] == ["one", reason]


async def test_messages_are_handled_at_once_until_one_waits_and_those_behind_it_in_order() -> None:
    server, handled = EngineServer(async_handlers=False), []
    gate = asyncio.Event()

    async def wait(data: str | bytes) -> None:
        await gate.wait()
        handled.append(data)

    def begin(_sid: str, data: str | bytes) -> Coroutine[Any, Any, None] | None:
        if data == "waits":
            return wait(data)
        handled.append(data)
        return None

    server.begin_message = begin
    session = EngineSession(server, "sid")
    session.use_websocket(cast(WebSocketConnection, Writer()))
    for message_text in ("one", "two", "waits", "three", "waits", "four"):
        session.on_message(f"4{message_text}")
    assert handled == ["one", "two"]
    assert session.unanswered == 4
    await asyncio.sleep(0)
    assert handled == ["one", "two"]

    gate.set()

    await eventually(lambda: not session.unanswered)
    assert handled == ["one", "two", "waits", "three", "waits", "four"]
    await asyncio.sleep(0)
    session.on_message("4five")
    assert handled[-1] == "five"


async def test_an_error_of_a_message_that_waits_closes_the_session_and_drops_those_behind_it() -> None:
    server, handled = EngineServer(async_handlers=False), []

    async def fail() -> None:
        raise ValueError

    def begin(_sid: str, data: str | bytes) -> Coroutine[Any, Any, None] | None:
        handled.append(data)
        return fail()

    server.begin_message = begin
    session = EngineSession(server, "sid")
    writer = Writer()
    session.use_websocket(cast(WebSocketConnection, writer))
    session.on_message("4one")
    session.on_message("4two")

    await eventually(lambda: session.closed)

    assert (handled, writer.closed, session.unanswered) == (["one"], True, 0)
