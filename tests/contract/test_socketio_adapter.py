"""Each hook of python-socketio and python-engineio that Parley overrides exists and is called as expected."""

import ast
import inspect
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import engineio
import pytest
import socketio
from aiohttp import web
from aiohttp.test_utils import TestServer
from engineio.async_socket import AsyncSocket
from socketio.async_manager import AsyncManager

from clients.chat import eventually
from parley.gateway.transport import socketio_adapter
from parley.gateway.transport.engine_server import EngineServer
from parley.gateway.transport.socketio_adapter import SocketHooks, UntestedLibraryError, check_versions

ROOT = Path(__file__).parents[2]
ADAPTER = Path(socketio_adapter.__file__)
URL = "/socket.io/?EIO=4&transport=websocket"
FOLDERS = ("transport", "pubsub", "live", "recovery", "sockets")
"""Folders whose modules may import the libraries, or are handed their objects."""
LIBRARY_CLASSES = (
    engineio.AsyncServer,
    AsyncSocket,
    socketio.AsyncServer,
    AsyncManager,
    socketio.AsyncNamespace,
)


class Recording(SocketHooks):
    """Records the calls of its hooks, then does what the library does."""

    engine_class = EngineServer

    def __init__(self, **options: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        super().__init__(**options)

    async def on_engine_message(self, eio_sid: str, data: Any) -> None:
        self.calls.append(("message", data))
        await super().on_engine_message(eio_sid, data)

    async def on_engine_disconnect(self, eio_sid: str, reason: str) -> None:
        self.calls.append(("disconnect", reason))
        await super().on_engine_disconnect(eio_sid, reason)

    async def connect_namespace(self, eio_sid: str, namespace: str, data: Any) -> None:
        self.calls.append(("connect", namespace, data))
        await super().connect_namespace(eio_sid, namespace, data)

    async def on_client_event(self, eio_sid: str, namespace: str, id: int | None, data: Any) -> None:
        self.calls.append(("event", namespace, id, data))
        await super().on_client_event(eio_sid, namespace, id, data)

    async def send_packet(self, eio_sid: str, pkt: Any) -> None:
        self.calls.append(("send", pkt.packet_type, pkt.namespace))
        await super().send_packet(eio_sid, pkt)


@pytest.fixture
def ping_seconds() -> float:
    return 20.0


@pytest.fixture
async def sockets(ping_seconds: float) -> AsyncIterator[Recording]:
    times = {"ping_interval": ping_seconds, "ping_timeout": ping_seconds}
    server = Recording(namespaces=["/", "/chat"], async_handlers=False, **times)
    server.on("add", lambda sid, a, b: a + b, namespace="/chat")
    yield server
    await server.shutdown()


@pytest.fixture
async def ws(sockets: Recording) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A websocket that is connected to the namespace `/chat`."""
    app = web.Application()
    sockets.attach(app)
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession() as http,
        http.ws_connect(server.make_url(URL)) as ws,
    ):
        assert (await ws.receive_str(timeout=5)).startswith("0{")
        await ws.send_str('40/chat,{"token":"t"}')
        assert (await next_packet(ws)).startswith("40/chat,{")
        yield ws


async def next_packet(ws: aiohttp.ClientWebSocketResponse) -> str:
    """Answer pings and return the next packet of Socket.IO."""
    while (received := await ws.receive_str(timeout=5)) == "2":
        await ws.send_str("3")
    return received


async def test_a_connect_passes_its_hooks(sockets: Recording, ws: aiohttp.ClientWebSocketResponse) -> None:
    assert sockets.calls == [
        ("message", '0/chat,{"token":"t"}'),
        ("connect", "/chat", {"token": "t"}),
        ("send", socketio.packet.CONNECT, "/chat"),
    ]


async def test_a_connect_without_a_namespace_goes_to_the_default_one(
    sockets: Recording, ws: aiohttp.ClientWebSocketResponse
) -> None:
    await ws.send_str("40")

    assert (await next_packet(ws)).startswith('40{"sid":')
    assert ("connect", "/", None) in sockets.calls


async def test_a_connect_to_an_unknown_namespace_passes_the_hook_and_is_refused(
    sockets: Recording, ws: aiohttp.ClientWebSocketResponse
) -> None:
    await ws.send_str("40/unknown,")

    assert (await next_packet(ws)).startswith("44/unknown,")
    assert sockets.calls[-2:] == [
        ("connect", "/unknown", None),
        ("send", socketio.packet.CONNECT_ERROR, "/unknown"),
    ]


async def test_an_event_passes_its_hook_and_is_acknowledged(
    sockets: Recording, ws: aiohttp.ClientWebSocketResponse
) -> None:
    await ws.send_str('42/chat,7["add",1,2]')

    assert await next_packet(ws) == "43/chat,7[3]"
    assert ("event", "/chat", 7, ["add", 1, 2]) in sockets.calls
    assert sockets.calls[-1] == ("send", socketio.packet.ACK, "/chat")


async def test_a_closed_session_passes_its_hook_and_leaves_the_namespace(
    sockets: Recording, ws: aiohttp.ClientWebSocketResponse
) -> None:
    assert sockets.manager.rooms
    await ws.send_str("1")

    await eventually(lambda: sockets.calls[-1] == ("disconnect", sockets.reason.CLIENT_DISCONNECT))
    await eventually(lambda: not sockets.manager.rooms)
    assert not sockets.environ


async def test_a_client_can_be_disconnected_from_one_namespace(
    sockets: Recording, ws: aiohttp.ClientWebSocketResponse
) -> None:
    (eio_sid,) = sockets.environ

    await sockets.disconnect_namespace(eio_sid, "/chat")

    assert not sockets.manager.rooms
    assert eio_sid in sockets.environ


async def test_a_packet_that_waits_for_attachments_can_be_discarded(
    sockets: Recording, ws: aiohttp.ClientWebSocketResponse
) -> None:
    (eio_sid,) = sockets.environ
    await ws.send_str('451-/chat,["add",1,{"_placeholder":true,"num":0}]')
    await eventually(lambda: sockets.has_partial_packet(eio_sid))

    sockets.discard_partial_packet(eio_sid)

    assert not sockets.has_partial_packet(eio_sid)
    await ws.send_str('42/chat,8["add",3,4]')
    assert await next_packet(ws) == "43/chat,8[7]"


async def test_a_registered_callback_gets_the_acknowledgement_of_its_number() -> None:
    manager = socketio_adapter.ManagerHooks()
    received: list[tuple[Any, ...]] = []

    first = manager.register_callback("sid", lambda *args: received.append(args))
    second = manager.register_callback("sid", lambda *args: received.append(("second", *args)))
    await manager.trigger_callback("sid", second, [2])
    await manager.trigger_callback("sid", first, [1])

    assert received == [("second", 2), (1,)]


@pytest.mark.parametrize("ping_seconds", [0.1])
async def test_a_session_that_answers_no_ping_is_closed_without_the_monitoring_task_of_the_library(
    sockets: Recording, ws: aiohttp.ClientWebSocketResponse
) -> None:
    assert sockets.eio.service_task_handle is None

    async for message in ws:
        assert message.data == "2"
    assert ("disconnect", sockets.reason.PING_TIMEOUT) in sockets.calls


@pytest.mark.parametrize(
    ("library", "installed"),
    [("python-socketio", "5.19.0"), ("python-socketio", "6.0"), ("python-engineio", "4.14.9")],
)
def test_an_untested_minor_version_is_refused(library: str, installed: str) -> None:
    tested = {name: f"{minor}.3" for name, minor in socketio_adapter.TESTED_MINORS.items()}
    check_versions(tested.__getitem__)

    with pytest.raises(
        UntestedLibraryError, match=rf"{library} {installed} is installed.*Install '{library}=="
    ):
        check_versions({**tested, library: installed}.__getitem__)


def test_the_gateway_requires_the_tested_minor_versions() -> None:
    requirements = (ROOT / "gateway/pyproject.toml").read_text()
    for library, minor in socketio_adapter.TESTED_MINORS.items():
        major, _, number = minor.partition(".")
        assert f'"{library}>={minor}.' in requirements
        assert (
            f',<{major}.{int(number) + 1}"' in requirements.partition(f'"{library}>=')[2].partition("\n")[0]
        )


def private_names_of_the_libraries() -> set[str]:
    """Return all underscore names that the libraries' classes define or use."""
    modules = {inspect.getmodule(cls) for library in LIBRARY_CLASSES for cls in library.__mro__[:-1]}
    sources = [inspect.getsource(module) for module in modules if module is not None]
    names = {name for source in sources for name in names_in(source)}
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def names_in(source: str) -> Iterator[str]:
    """Yield the attributes that a module uses, and the functions that it defines."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(attr=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name


def test_no_other_module_uses_a_private_name_of_the_libraries() -> None:
    private = private_names_of_the_libraries()
    assert {"_handle_eio_message", "_send_packet", "_binary_packet", "_generate_ack_id", "_async"} <= private
    used = {
        path.name: names
        for folder in FOLDERS
        for path in (ROOT / "gateway/src/parley/gateway" / folder).rglob("*.py")
        if path != ADAPTER and (names := private.intersection(names_in(path.read_text())))
    }
    assert used == {}
