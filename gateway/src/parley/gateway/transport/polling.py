"""The bodies of polling clients' POST requests, counted before they are read, and decoded once."""

from collections.abc import Callable

from aiohttp import ClientPayloadError, web
from aiohttp.http import HttpProcessingError
from engineio import packet as eio
from engineio.exceptions import ContentTooLongError, EngineIOError
from socketio import packet

from parley.gateway.transport.inbound_rates import PACKET_BYTES, REQUEST_BYTES
from parley.gateway.transport.packets import engine_packet

SEPARATOR = b"\x1e"
EVENT = f"{eio.MESSAGE}{packet.EVENT}".encode()
MAX_PACKETS = 2_000
"""Packets of one body: a client posts everything that has gathered, and may send 1,000 events at once."""

CUT_SHORT = (OSError, HttpProcessingError, ClientPayloadError, web.RequestPayloadError)
"""Errors that aiohttp raises for a body that does not arrive whole."""

Count = Callable[[int], None]
"""Counts bytes; raises `RateLimited` if they are too many."""


async def read_packets(request: web.Request, limit: int, count: Count) -> list[eio.Packet]:
    """Read the packets of a POST request.

    Args:
        request: the request, of which nothing has been read.
        limit: bytes that the body may have.
        count: counts the body's bytes before they are read, then those that its packets count for.

    Raises:
        EngineIOError: the body is too long, has too many packets, ends early, or is no Engine.IO payload.
        RateLimited: the client sends too much.
    """
    if (request.content_length or 0) > limit:
        raise ContentTooLongError
    count(max(request.content_length or 0, REQUEST_BYTES))
    body = await _read(request, limit, count)
    if not body:
        return []
    packets = body.count(SEPARATOR) + 1
    if packets > MAX_PACKETS:
        raise EngineIOError("The body has too many packets.")
    count(packets * PACKET_BYTES - max(len(body), REQUEST_BYTES))
    try:
        return [_packet(encoded) for encoded in body.split(SEPARATOR)]
    except (ValueError, LookupError) as error:
        raise EngineIOError("The body is not an Engine.IO payload.") from error


def _packet(encoded: bytes) -> eio.Packet:
    """Decode a packet.

    An event that is not UTF-8 gets lone surrogates, which JSON does not have: it is refused by itself, and
    its neighbours are taken.

    Raises:
        ValueError: It is no packet.
    """
    errors = "surrogateescape" if encoded.startswith(EVENT) else "strict"
    return engine_packet(encoded.decode(errors=errors))


async def _read(request: web.Request, limit: int, count: Count) -> bytes:
    body = bytearray()
    try:
        async for piece in request.content.iter_any():
            body += piece
            if len(body) > limit:
                raise ContentTooLongError
            if request.content_length is None:
                count(len(piece))
    except CUT_SHORT as error:
        raise EngineIOError("The body ended early.") from error
    return bytes(body)
