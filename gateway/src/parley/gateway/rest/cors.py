"""CORS for the REST routes (https://fetch.spec.whatwg.org/#http-cors-protocol).

Only the configured origins are allowed. Socket.IO's path is left out: python-engineio handles it.
"""

from collections.abc import Collection

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from parley.gateway.transport.origins import AllowedOrigins

SOCKET_PATHS = ("/socket.io", "/socket.io/")
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Range",
    "If-None-Match",
    "If-Range",
    "Idempotency-Key",
)
RESPONSE_HEADERS = "Content-Disposition, Content-Range, ETag, Location, Retry-After"
DAY_SECONDS = 86_400


class Cors:
    """Answers preflights and adds CORS headers to all other responses.

    Credentials are allowed, because many clients always ask for them (`withCredentials`). The gateway reads
    no cookie: tokens come in a header or in the query.

    Args:
        origins: Allowed origins.
        request_headers: Headers that their pages may send besides those that the gateway reads.
    """

    def __init__(self, origins: Collection[str], request_headers: Collection[str] = ()) -> None:
        self._origins = AllowedOrigins(origins)
        self._any = bool(origins)
        self._request_headers = ", ".join((*REQUEST_HEADERS, *request_headers))

    def install(self, app: web.Application) -> None:
        """Install the middleware and the response hook in an application."""

        @web.middleware
        async def preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
            is_preflight = (
                request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
            )
            if is_preflight and request.path not in SOCKET_PATHS:
                return self._preflight(request)
            return await handler(request)

        app.middlewares.insert(0, preflights)
        app.on_response_prepare.append(self._add_headers)

    def _preflight(self, request: web.Request) -> web.Response:
        response = web.Response(status=204)
        if self._allowed(request) is not None:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = METHODS
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = self._request_headers
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(DAY_SECONDS)
        return response

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        if request.path in SOCKET_PATHS or not self._any:
            return
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        origin = self._allowed(request)
        if origin is not None:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = RESPONSE_HEADERS

    def _allowed(self, request: web.Request) -> str | None:
        origin = request.headers.get(hdrs.ORIGIN)
        return origin if origin and self._origins.lists(origin) else None
