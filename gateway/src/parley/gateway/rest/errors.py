"""JSON bodies for errors that aiohttp raises itself, such as an unknown path or too large a body."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from parley.gateway.transport.http_server import error_body


@web.middleware
async def json_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
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
