"""The doorkeeper: turns away whoever connects too often, and everyone when the house is full."""

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
    """An aiohttp middleware before the Engine.IO handshake, which costs more than what it does."""

    def __init__(self, rates: Rates, sockets: Sized, most: int) -> None:
        self._rates = rates
        self._sockets = sockets
        self._most = most

    @property
    def middleware(self) -> Middleware:
        """What aiohttp takes."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            # An empty id is none to Engine.IO either: it begins a session.
            fresh = request.method == "GET" and not request.query.get("sid")
            if fresh and request.path.startswith(PATH):
                try:
                    self._admit(request)
                except ChatError as error:
                    return _away(error)
            return await handler(request)

        return guard

    def _admit(self, request: web.Request) -> None:
        self._rates.count("connects", address_of(request))
        if len(self._sockets) >= self._most:
            raise Overloaded("This gateway has as many sockets as it takes; try again.")


def address_of(request: web.Request) -> str:
    """Where a request comes from, as the nginx in front saw it: it appends to what it was told.

    Of IPv6 the network of 64 bits, for whoever has one address has all of it.
    """
    told = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or request.remote or ""
    try:
        address = IPv6Address(told)
    except ValueError:
        return told
    mapped = address.ipv4_mapped
    return str(mapped) if mapped else str(IPv6Network((address, NETWORK_BITS), strict=False))


def _away(error: ChatError) -> web.Response:
    status = 429 if isinstance(error, RateLimited) else 503
    headers = {"Retry-After": str(ceil(error.retry_after or 1)), "Cache-Control": "no-store"}
    body = orjson.dumps(REFUSAL(gauges.count(error)))
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
