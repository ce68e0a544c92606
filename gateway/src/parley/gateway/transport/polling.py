"""What polling clients post: read whole, and checked before python-engineio takes it apart.

It would drop the whole of a body that has one wrong packet, answer `ok`, and log an error of ours.
"""

from typing import Any

from aiohttp import StreamReader, web
from engineio import packet as eio
from engineio.async_drivers import aiohttp as driver
from engineio.exceptions import EngineIOError
from engineio.payload import Payload

# A client posts everything that has gathered; the size of the body is what bounds it.
Payload.max_decode_packets = 1 << 20


class Body:
    """A request's body; one that is no payload raises EngineIOError, which ends the session with a 400."""

    def __init__(self, content: StreamReader) -> None:
        self._content = content

    async def read(self, length: int) -> bytes:
        """All `length` bytes: a large body comes in pieces."""
        try:
            body = await self._content.readexactly(length)
            packets = Payload(encoded_payload=body.decode()).packets
        except (ValueError, LookupError, EOFError) as error:
            raise EngineIOError("The body is not an Engine.IO payload.") from error
        if any(packet.packet_type > eio.NOOP for packet in packets):
            raise EngineIOError("There is no such type of packet.")
        return body


def translate_request(request: web.Request) -> dict[str, Any]:
    """The environment of a request, with its body checked."""
    environ: dict[str, Any] = driver.translate_request(request)
    return {**environ, "wsgi.input": Body(request.content)}


def guard(engine: Any) -> None:
    """Have a python-engineio server answer polls of sessions that are over, which it would fail at."""
    inner = engine.handle_request

    async def handle_request(request: web.Request) -> web.StreamResponse:
        sid = request.query.get("sid", "")
        socket = engine.sockets.get(sid)
        if socket is not None and socket.closed:
            # It keeps them for some seconds more.
            engine.sockets.pop(sid)
        try:
            answer: web.StreamResponse = await inner(request)
        except UnboundLocalError:
            # To a wrong body whose session has ended while it came, it finds no answer.
            return web.json_response("Invalid session", status=400)
        return answer

    engine.handle_request = handle_request
