"""aiohttp's HTTP server, whose own errors are JSON by the default schema, and which takes long headers."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from time import monotonic
from typing import Any

import orjson
from aiohttp import web
from aiohttp.tcp_helpers import tcp_keepalive
from aiohttp.typedefs import Handler

from parley.shared.metrics import http_seconds

UNKNOWN = "unknown"
LINE_BYTES = 32 * 1024
"""The longest request line, and the longest header; nginx, in front, takes less."""

TakeFirst = Callable[[asyncio.Transport, bytes], bool]
TAKE_FIRST: web.AppKey[TakeFirst] = web.AppKey("take_first")
"""Gets the first data of each connection; returns whether it has taken the connection over."""
FIRST_SECONDS = 1.0
"""A connection without data becomes aiohttp's after this time, which closes it in time."""

CODES = {
    HTTPStatus.NOT_FOUND: ("NOT_FOUND", "Unknown path."),
    HTTPStatus.METHOD_NOT_ALLOWED: ("METHOD_NOT_ALLOWED", "Method not allowed for this path."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("TOO_LARGE", "The body is too large."),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("INTERNAL", "Something went wrong."),
}


def error_body(status: int, reason: str) -> bytes:
    """Return the body of an error that the HTTP server has found itself."""
    code, message = CODES.get(HTTPStatus(status), ("INVALID", f"{reason}."))
    return orjson.dumps({"success": False, "error": {"code": code, "message": message, "retryable": False}})


def add_route(app: web.Application, method: str, path: str, handler: Handler) -> None:
    """Add a route whose path may end with a slash, as with Express, which the guides' clients expect."""
    for slash in ("", "/"):
        app.router.add_route(method, path + slash, handler)


@web.middleware
async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Measure the time of requests."""
    began = monotonic()
    try:
        response = await handler(request)
    except web.HTTPException as error:
        _observe(request, error.status, began)
        raise
    if response.status != HTTPStatus.SWITCHING_PROTOCOLS:
        _observe(request, response.status, began)
    return response


def _observe(request: web.Request, status: int, began: float) -> None:
    resource = request.match_info.route.resource
    # A client may ask for any path, by any method: these are no labels.
    known = (_route(resource), request.method) if resource is not None else (UNKNOWN, UNKNOWN)
    http_seconds.labels(*known, status).observe(monotonic() - began)


def _route(resource: web.AbstractResource) -> str:
    """Return the path of a route, the same with and without a slash at the end."""
    return resource.canonical.rstrip("/") or "/"


@web.middleware
async def json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give aiohttp's error responses the default error payload."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return _json_response(error)


def _json_response(error: web.HTTPException) -> web.Response:
    kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
    return web.Response(
        body=error_body(error.status, error.reason),
        status=error.status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **kept},
    )


class ErrorsAsJson(web.RequestHandler):
    """Answers what no middleware sees, such as a request that is no HTTP or has an unknown `Expect`."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the response for an error; the connection is closed after it."""
        response = super().handle_error(request, status, exc, message)
        return _as_json(response)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write a response."""
        if isinstance(resp, web.HTTPException) and resp.status >= HTTPStatus.BAD_REQUEST:
            resp = _as_json(resp)
        return await super().finish_response(request, resp, start_time)


class Server(web.Server):
    """aiohttp's server, with `ErrorsAsJson` for each connection.

    Attributes:
        take_first: May take over connections by their first data.
    """

    take_first: TakeFirst | None = None

    def __call__(self) -> asyncio.Protocol:  # type: ignore[override]
        """Make the protocol of a new connection."""
        return self.make_handler() if self.take_first is None else FirstData(self, self.take_first)

    def make_handler(self) -> web.RequestHandler:
        """Make aiohttp's handler of a connection."""
        return ErrorsAsJson(self, loop=self._loop, **self._kwargs)


class FirstData(asyncio.Protocol):
    """The protocol of a connection until its first data: aiohttp's takes two tasks and a timer for each."""

    __slots__ = ("_server", "_take_first", "_timer", "_transport")

    def __init__(self, server: Server, take_first: TakeFirst) -> None:
        self._server = server
        self._take_first = take_first
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for data."""
        self._transport = transport
        tcp_keepalive(self._transport)
        self._timer = asyncio.get_running_loop().call_later(FIRST_SECONDS, self._leave)

    def data_received(self, data: bytes) -> None:
        """Offer the data, else leave the connection to aiohttp."""
        self._cancel()
        if not self._take_first(self._transport, data):
            self._leave().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Do not wait any more."""
        self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _leave(self) -> web.RequestHandler:
        handler = self._server.make_handler()
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        return handler


class AppRunner(web.AppRunner):
    """Runs an application on a `Server`."""

    def __init__(self, app: web.Application, **options: Any) -> None:
        super().__init__(app, max_line_size=LINE_BYTES, max_field_size=LINE_BYTES, **options)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        server = Server(made.request_handler, request_factory=made.request_factory, **made._kwargs)
        server.take_first = self.app.get(TAKE_FIRST)
        return server


def _as_json(response: web.StreamResponse) -> web.StreamResponse:
    if isinstance(response, web.Response):
        response.body = error_body(response.status, response.reason or "")
        response.content_type = "application/json"
        response.charset = None
        response.headers["Cache-Control"] = "no-store"
    return response
