"""Sockets that nothing good will come of are closed; all others are left alone."""

from typing import Any

import pytest

from parley.gateway.sockets.idle_reaper import IdleReaper
from parley.gateway.transport.frame_writer import PacketQueue


class Socket:
    def __init__(self, *, unread: int = 0) -> None:
        self.queue = PacketQueue(limit=10)
        self.queue._unread = unread
        self.closed = False

    async def close(self, **_how: Any) -> None:
        self.closed = True


class Engine:
    class reason:
        SERVER_DISCONNECT = "server disconnect"

    def __init__(self, **sockets: Socket) -> None:
        self.sockets = sockets


async def test_a_socket_that_joins_no_namespace_is_closed_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine(idle=Socket(), joined=Socket())
    idle_reaper = IdleReaper(engine, lambda sid: sid == "joined")
    await idle_reaper.sweep()
    assert not engine.sockets["idle"].closed

    monkeypatch.setattr("parley.gateway.sockets.idle_reaper.JOIN_SECONDS", -1)
    await idle_reaper.sweep()

    assert engine.sockets["idle"].closed
    assert not engine.sockets["joined"].closed


async def test_a_polling_client_that_does_not_read_is_closed() -> None:
    engine = Engine(full=Socket(unread=11), fine=Socket(unread=10))
    await IdleReaper(engine, lambda _sid: True).sweep()
    assert engine.sockets["full"].closed
    assert not engine.sockets["fine"].closed
