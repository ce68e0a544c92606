"""An echo server made of Parley's own transport, for the official protocol suites and for our own tests.

`python tests/clients/echo_server.py` serves Engine.IO at /engine.io/ and Socket.IO at /socket.io/ on
port 3000, as the test suites of socketio/engine.io-protocol and socketio/socket.io-protocol expect it.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from aiohttp import web
from socketio import AsyncNamespace, packet

sys.path.insert(0, str(Path(__file__).parents[1]))

from parley.gateway.transport.engine_server import EngineServer
from parley.gateway.transport.packets import ClientPacket
from parley.gateway.transport.server import ChatServer

PORT = 3000
PING_INTERVAL, PING_TIMEOUT = 0.3, 0.2
SEGMENT_SECONDS = 0.02
TIMES = {"ping_interval": PING_INTERVAL, "ping_timeout": PING_TIMEOUT}


class BinaryPacket(ClientPacket):
    """A packet that takes binary attachments, which Parley itself refuses."""

    add_attachment = packet.Packet.add_attachment


class EchoNamespace(AsyncNamespace):  # type: ignore[misc]
    """Sends the auth data after the connect, and what a client sends back to it."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self._auth: dict[str, Any] = {}

    async def on_connect(self, sid: str, environ: Any, auth: Any = None) -> None:
        self._auth[sid] = auth or {}

    async def on_connected(self, sid: str) -> None:
        # The suite's client loses the second of two frames that arrive in one TCP segment.
        await asyncio.sleep(SEGMENT_SECONDS)
        await self.emit("auth", self._auth.pop(sid), to=sid)

    def private_id(self, sid: str) -> None:
        return None

    async def handle_event(self, sid: str, event: Any, args: list[Any], size: int) -> Any:
        if event == "message":
            await self.emit("message-back", tuple(args), to=sid)
        return tuple(args)


class EchoServer(ChatServer):
    """Answers as the suite of Socket.IO expects, where the protocol leaves the choice."""

    invalid_namespace = {"message": "Invalid namespace"}  # noqa: RUF012


def engine_server(**options: Any) -> EngineServer:
    """Return an Engine.IO server that sends each message back."""
    engine = EngineServer(**options)

    async def echo(sid: str, data: str | bytes) -> None:
        await engine.send(sid, data)

    engine.on("message", echo)
    return engine


def socket_server(**options: Any) -> ChatServer:
    """Return a Socket.IO server with an echo in the namespaces `/` and `/custom`."""
    server = EchoServer(packet_class=BinaryPacket, **options)
    for namespace in ("/", "/custom"):
        server.register_namespace(EchoNamespace(namespace))
    return server


def application(**options: Any) -> web.Application:
    """Return both servers in one application."""
    app = web.Application()
    engine_server(**options).attach(app)
    socket_server(**options).attach(app)
    return app


if __name__ == "__main__":
    web.run_app(application(**TIMES), host="127.0.0.1", port=PORT, shutdown_timeout=0.1)
