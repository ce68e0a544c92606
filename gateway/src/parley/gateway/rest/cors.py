"""Cross-origin requests to the REST paths: from the pages of the origins that are listed, and no others.

The CORS protocol (https://fetch.spec.whatwg.org/#http-cors-protocol). Socket.IO's own path has its own.
"""

from collections.abc import Collection

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

SOCKETS = "/socket.io/"
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
ASKED = "Authorization, Content-Type, Range, If-None-Match, If-Range"
SHOWN = "Content-Disposition, Content-Range, ETag, Location, Retry-After"
DAY_SECONDS = 86_400


class Cors:
    """Answers preflights, and marks all other answers; tokens come in a header, so no cookies are let in."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def guard(self, app: web.Application) -> None:
        """Have an application keep to it."""

        @web.middleware
        async def answer_preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
            asks = (
                request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
            )
            if asks and not request.path.startswith(SOCKETS):
                return self._preflight(request)
            return await handler(request)

        app.middlewares.insert(0, answer_preflights)
        app.on_response_prepare.append(self._mark)

    def _preflight(self, request: web.Request) -> web.Response:
        answer = web.Response(status=204)
        if self._allowed(request) is not None:
            answer.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = METHODS
            answer.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = ASKED
            answer.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(DAY_SECONDS)
        return answer

    async def _mark(self, request: web.Request, answer: web.StreamResponse) -> None:
        if request.path.startswith(SOCKETS) or not self._origins:
            return
        answer.headers.add(hdrs.VARY, hdrs.ORIGIN)
        origin = self._allowed(request)
        if origin is not None:
            answer.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            answer.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = SHOWN

    def _allowed(self, request: web.Request) -> str | None:
        origin = request.headers.get(hdrs.ORIGIN)
        return origin if origin in self._origins else None
