"""JSON bodies for errors that aiohttp raises itself, such as an unknown path or too large a body."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import orjson
from aiohttp import web

CODES = {
    HTTPStatus.NOT_FOUND: ("NOT_FOUND", "Unknown path."),
    HTTPStatus.METHOD_NOT_ALLOWED: ("METHOD_NOT_ALLOWED", "Method not allowed for this path."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("TOO_LARGE", "The body is too large."),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("UNSUPPORTED_MEDIA_TYPE", "The body must be application/json."),
}


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
    code, message = CODES.get(HTTPStatus(error.status), ("INVALID", f"{error.reason}."))
    body = {"success": False, "error": {"code": code, "message": message, "retryable": False}}
    kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
    return web.Response(
        body=orjson.dumps(body),
        status=error.status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **kept},
    )
