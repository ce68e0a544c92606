"""The idle reaper closes idle and unread sockets, and leaves all others alone."""

from typing import Any, cast

import pytest
from engineio import packet as eio

from parley.gateway.sockets.idle_reaper import IdleReaper
from parley.gateway.transport.engine_server import EngineServer
from parley.gateway.transport.engine_session import EngineSession


class Session(EngineSession):
    """A polling session with a number of unread bytes; `terminate` closes it."""

    def __init__(self, *, unread: int = 0) -> None:
        super().__init__(EngineServer(unread_limit=10), "sid")
        self.put_nowait(eio.Packet(eio.MESSAGE, "x" * unread))

    async def terminate(self) -> None:
        self.closed = True


class Engine:
    def __init__(self, **sockets: Session) -> None:
        self.sockets = sockets


async def test_a_socket_that_joins_no_namespace_is_closed_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine(idle=Session(), joined=Session())
    idle_reaper = IdleReaper(cast(Any, engine), lambda: {"joined"}, lambda sid: sid == "joined")
    await idle_reaper.sweep()
    assert not engine.sockets["idle"].closed

    monkeypatch.setattr("parley.gateway.sockets.idle_reaper.JOIN_SECONDS", -1)
    await idle_reaper.sweep()

    assert engine.sockets["idle"].closed
    assert not engine.sockets["joined"].closed


async def test_a_socket_that_joins_while_the_others_are_checked_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("parley.gateway.sockets.idle_reaper.JOIN_SECONDS", -1)
    engine = Engine(idle=Session(), joining=Session())
    nobody: set[str] = set()
    await IdleReaper(cast(Any, engine), lambda: nobody, lambda sid: sid == "joining").sweep()
    assert engine.sockets["idle"].closed
    assert not engine.sockets["joining"].closed


async def test_a_polling_client_that_does_not_read_is_closed() -> None:
    engine = Engine(full=Session(unread=11), fine=Session(unread=10))
    await IdleReaper(cast(Any, engine), lambda: {"full", "fine"}, lambda _sid: True).sweep()
    assert engine.sockets["full"].closed
    assert not engine.sockets["fine"].closed
