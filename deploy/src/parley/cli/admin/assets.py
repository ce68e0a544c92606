"""The files of the page, and the headers with which everything is served."""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

from aiohttp import ETag, hdrs, web

HERE = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Of every response, also of the API's."""


def add_routes(app: web.Application) -> None:
    """Serve the page at `/admin`, and its files below."""
    app.router.add_get("/", _to_the_page)
    for path in ("/admin", "/admin/"):
        app.router.add_get(path, _page)
    app.router.add_get("/admin/assets/{name}", _asset)
    app.on_response_prepare.append(_add_headers)


async def _to_the_page(_request: web.Request) -> web.Response:
    raise web.HTTPFound("/admin")


async def _page(request: web.Request) -> web.Response:
    return _answer(request, "index.html")


async def _asset(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in _names() or name == "index.html":
        raise web.HTTPNotFound
    return _answer(request, name)


def _answer(request: web.Request, name: str) -> web.Response:
    body = (HERE / name).read_bytes()
    tag = ETag(sha256(body).hexdigest()[:32], is_weak=True)
    known = tag.value in {each.value for each in request.if_none_match or ()}
    content_type = TYPES[Path(name).suffix]
    response = web.Response(
        body=None if known else body, status=304 if known else 200, content_type=content_type, charset="utf-8"
    )
    response.etag = tag
    response.headers["Cache-Control"] = "no-cache"
    if not known:
        response.enable_compression()
    return response


@cache
def _names() -> frozenset[str]:
    return frozenset(file.name for file in HERE.iterdir() if file.suffix in TYPES)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall(hdrs.SERVER, None)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
