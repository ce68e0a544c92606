"""Headers of every answer: what browsers must not make of it, and nothing of what made it."""

from http import HTTPStatus

from aiohttp import hdrs, web

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""Unless the answer says otherwise itself."""


def guard(app: web.Application) -> None:
    """Have all answers of an application carry them, and none tell what made it."""
    app.on_response_prepare.append(_mark)


async def _mark(_request: web.Request, answer: web.StreamResponse) -> None:
    answer.headers.popall(hdrs.SERVER, None)
    if answer.status == HTTPStatus.SWITCHING_PROTOCOLS:
        return
    for name, value in SAFE.items():
        answer.headers.setdefault(name, value)
