"""Refuses new connections from addresses that connect too often, and all when the gateway is full."""

from collections.abc import Callable
from math import ceil

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from parley.gateway import gauges
from parley.gateway.core.errors import ChatError, Overloaded, RateLimited
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.state.rates import Rates
from parley.gateway.transport.trusted_proxies import TrustedProxies

PATH = "/socket.io"


class ConnectionLimiter:
    """An aiohttp middleware in front of the Engine.IO handshake, which costs more than this check.

    Args:
        rates: counts the connects of each address.
        count_sockets: returns the number of the node's connections.
        most: connections that the node takes.
        proxies: tell the addresses.
    """

    def __init__(
        self, rates: Rates, count_sockets: Callable[[], int], most: int, proxies: TrustedProxies
    ) -> None:
        self._rates = rates
        self._count_sockets = count_sockets
        self._most = most
        self._proxies = proxies

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

    def admits(self, request: web.Request) -> bool:
        """Return whether a connection is admitted; it is counted then."""
        try:
            self._admit(request)
        except ChatError:
            return False
        return True

    def _admit(self, request: web.Request) -> None:
        self._rates.count("connects", self._proxies.address_of(request))
        if self._count_sockets() >= self._most:
            raise Overloaded("The gateway has reached its connection limit. Retry later.")


def _refusal(error: ChatError) -> web.Response:
    status = 429 if isinstance(error, RateLimited) else 503
    headers = {"Retry-After": str(ceil(error.retry_after or 1)), "Cache-Control": "no-store"}
    body = orjson.dumps(REFUSAL(gauges.count(error)))
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
