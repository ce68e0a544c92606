"""Refuses new connections from addresses that connect too often, and all when the gateway is full."""

from collections.abc import Sized
from ipaddress import IPv6Address, IPv6Network
from math import ceil

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from parley.gateway import gauges
from parley.gateway.core.errors import ChatError, Overloaded, RateLimited
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.state.rates import Rates

PATH = "/socket.io/"
NETWORK_BITS = 64


class ConnectionLimiter:
    """An aiohttp middleware in front of the Engine.IO handshake, which costs more than this check.

    Args:
        rates: counts the connects of each address.
        sockets: the node's open connections.
        most: connections that the node takes.
    """

    def __init__(self, rates: Rates, sockets: Sized, most: int) -> None:
        self._rates = rates
        self._sockets = sockets
        self._most = most

    @property
    def middleware(self) -> Middleware:
        """The middleware for an `aiohttp.web.Application`."""

        @web.middleware
        async def limit_handshakes(request: web.Request, handler: Handler) -> web.StreamResponse:
            # An empty session id opens a session, too.
            is_handshake = request.method == "GET" and not request.query.get("sid")
            if is_handshake and request.path.startswith(PATH):
                try:
                    self._admit(request)
                except ChatError as error:
                    return _refusal(error)
            return await handler(request)

        return limit_handshakes

    def _admit(self, request: web.Request) -> None:
        self._rates.count("connects", address_of(request))
        if len(self._sockets) >= self._most:
            raise Overloaded("The gateway has reached its connection limit. Retry later.")


def address_of(request: web.Request) -> str:
    """Return a client's address as the proxy in front saw it, which appends it to X-Forwarded-For.

    For IPv6 it is the network of 64 bits: a client that has one of its addresses has all of them.
    """
    seen = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or request.remote or ""
    try:
        address = IPv6Address(seen)
    except ValueError:
        return seen
    mapped = address.ipv4_mapped
    return str(mapped) if mapped else str(IPv6Network((address, NETWORK_BITS), strict=False))


def _refusal(error: ChatError) -> web.Response:
    status = 429 if isinstance(error, RateLimited) else 503
    headers = {"Retry-After": str(ceil(error.retry_after or 1)), "Cache-Control": "no-store"}
    body = orjson.dumps(REFUSAL(gauges.count(error)))
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
