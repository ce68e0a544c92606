"""Refusals that no vocabulary words, for aiohttp itself made them: no such path, too large, and the like."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import orjson
from aiohttp import web

CODES = {
    HTTPStatus.NOT_FOUND: ("NOT_FOUND", "There is no such path."),
    HTTPStatus.METHOD_NOT_ALLOWED: ("METHOD_NOT_ALLOWED", "The path has no such method."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("TOO_LARGE", "The body is too large."),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("UNSUPPORTED_MEDIA_TYPE", "The body must be application/json."),
}


@web.middleware
async def json_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give aiohttp's errors the body that all other errors have."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return _answer(error)


def _answer(error: web.HTTPException) -> web.Response:
    code, message = CODES.get(HTTPStatus(error.status), ("INVALID", f"{error.reason}."))
    body = {"success": False, "error": {"code": code, "message": message, "retryable": False}}
    kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
    return web.Response(
        body=orjson.dumps(body),
        status=error.status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **kept},
    )
