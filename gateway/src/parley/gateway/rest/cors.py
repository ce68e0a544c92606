"""CORS for the REST routes (https://fetch.spec.whatwg.org/#http-cors-protocol).

Only the configured origins are allowed. Socket.IO's path is left out: python-engineio handles it.
"""

from collections.abc import Collection

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

SOCKET_PATH = "/socket.io/"
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
REQUEST_HEADERS = "Authorization, Content-Type, Range, If-None-Match, If-Range"
RESPONSE_HEADERS = "Content-Disposition, Content-Range, ETag, Location, Retry-After"
DAY_SECONDS = 86_400


class Cors:
    """Answers preflights and adds CORS headers to all other responses.

    Credentials are not allowed: tokens come in a header, never in cookies.
    """

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def install(self, app: web.Application) -> None:
        """Install the middleware and the response hook in an application."""

        @web.middleware
        async def preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
            is_preflight = (
                request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
            )
            if is_preflight and not request.path.startswith(SOCKET_PATH):
                return self._preflight(request)
            return await handler(request)

        app.middlewares.insert(0, preflights)
        app.on_response_prepare.append(self._add_headers)

    def _preflight(self, request: web.Request) -> web.Response:
        response = web.Response(status=204)
        if self._allowed(request) is not None:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = METHODS
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = REQUEST_HEADERS
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(DAY_SECONDS)
        return response

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        if request.path.startswith(SOCKET_PATH) or not self._origins:
            return
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        origin = self._allowed(request)
        if origin is not None:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = RESPONSE_HEADERS

    def _allowed(self, request: web.Request) -> str | None:
        origin = request.headers.get(hdrs.ORIGIN)
        return origin if origin in self._origins else None
