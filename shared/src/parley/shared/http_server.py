"""aiohttp's HTTP server, whose own errors are JSON by the default schema, and which takes long headers."""

from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

LINE_BYTES = 32 * 1024
"""The longest request line, and the longest header; nginx, in front, takes less."""

CODES = {
    HTTPStatus.NOT_FOUND: ("NOT_FOUND", "Unknown path."),
    HTTPStatus.METHOD_NOT_ALLOWED: ("METHOD_NOT_ALLOWED", "Method not allowed for this path."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("TOO_LARGE", "The body is too large."),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("UNSUPPORTED_MEDIA_TYPE", "The body must be application/json."),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("INTERNAL", "Something went wrong."),
}


def error_body(status: int, reason: str) -> bytes:
    """Return the body of an error that the HTTP server has found itself."""
    code, message = CODES.get(HTTPStatus(status), ("INVALID", f"{reason}."))
    return orjson.dumps({"success": False, "error": {"code": code, "message": message, "retryable": False}})


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
    """aiohttp's server, with `ErrorsAsJson` for each connection."""

    def __call__(self) -> web.RequestHandler:
        """Make the handler of a new connection."""
        return ErrorsAsJson(self, loop=self._loop, **self._kwargs)


class AppRunner(web.AppRunner):
    """Runs an application on a `Server`."""

    def __init__(self, app: web.Application, **options: Any) -> None:
        super().__init__(app, max_line_size=LINE_BYTES, max_field_size=LINE_BYTES, **options)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return Server(made.request_handler, request_factory=made.request_factory, **made._kwargs)


def _as_json(response: web.StreamResponse) -> web.StreamResponse:
    if isinstance(response, web.Response):
        response.body = error_body(response.status, response.reason or "")
        response.content_type = "application/json"
        response.charset = None
        response.headers["Cache-Control"] = "no-store"
    return response
