"""The bodies of polling clients' POST requests, read and decoded whole before the first packet is handled."""

from aiohttp import ClientPayloadError, web
from aiohttp.http import HttpProcessingError
from engineio import packet as eio
from engineio.exceptions import ContentTooLongError, EngineIOError
from engineio.payload import Payload

# A client posts everything that has gathered; the body's size is the bound.
Payload.max_decode_packets = 1 << 20

CUT_SHORT = (OSError, HttpProcessingError, ClientPayloadError, web.RequestPayloadError)
"""Errors that aiohttp raises for a body that does not arrive whole."""


async def read_packets(request: web.Request, limit: int) -> list[eio.Packet]:
    """Read the packets of a POST request.

    Args:
        request: the request, of which nothing has been read.
        limit: bytes that the body may have.

    Raises:
        EngineIOError: the body is too long, ends early, or is no Engine.IO payload.
    """
    body = await _read(request, limit)
    try:
        packets: list[eio.Packet] = Payload(encoded_payload=body.decode()).packets
    except (ValueError, LookupError) as error:
        raise EngineIOError("The body is not an Engine.IO payload.") from error
    if any(packet.packet_type > eio.NOOP for packet in packets):
        raise EngineIOError("There is no such packet type.")
    return packets


async def _read(request: web.Request, limit: int) -> bytes:
    if (request.content_length or 0) > limit:
        raise ContentTooLongError
    body = bytearray()
    try:
        async for piece in request.content.iter_any():
            body += piece
            if len(body) > limit:
                raise ContentTooLongError
    except CUT_SHORT as error:
        raise EngineIOError("The body ended early.") from error
    return bytes(body)
