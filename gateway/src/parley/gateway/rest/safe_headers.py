"""Security headers for every response, and no header that names the server's software."""

from http import HTTPStatus

from aiohttp import hdrs, web

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""Defaults; a response may set its own."""


def install(app: web.Application) -> None:
    """Add the headers to all responses of an application."""
    app.on_response_prepare.append(_add_headers)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall(hdrs.SERVER, None)
    if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
        return
    for name, value in SAFE.items():
        response.headers.setdefault(name, value)
