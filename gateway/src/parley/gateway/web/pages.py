"""Serves the chat page at `/`, the API documentation at `/docs`, and their assets below `/assets/`."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from aiohttp import ETag, web

HERE = Path(__file__).parent
INSTALLED = HERE / "node_modules"
VENDOR = {
    "vendor/preact.js": INSTALLED / "htm/preact/standalone.module.js",
    "vendor/socket.io.js": INSTALLED / "socket.io-client/dist/socket.io.esm.min.js",
}
"""Third-party modules that `npm ci` installs, by the name under which the page imports them."""
OWN_FILES = ("*.js", "*.css", "*.svg", "state/*.js", "chat/*.js", "views/*.js", "docs/*.js", "docs/*.css")
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
NOT_INSTALLED = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Parley</title>'
    "<p>The chat page's scripts are not installed. Run <code>make up</code> to install them."
)
HOST = re.compile(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9A-Fa-f:]+\](:\d+)?")


@dataclass(frozen=True, slots=True)
class Asset:
    """A file's bytes, and their digest, which is its ETag."""

    body: bytes
    content_type: str
    digest: str


def add_routes(app: web.Application) -> None:
    """Register the routes of the pages and their assets."""
    app.router.add_get("/", _page("index.html"))
    app.router.add_get("/docs", _page("docs.html"))
    app.router.add_get("/assets/{name:.+}", _asset)


def assets() -> dict[str, Path]:
    """Return the servable files by their names below `/assets/`."""
    own = [file for pattern in OWN_FILES for file in HERE.glob(pattern)]
    return {file.relative_to(HERE).as_posix(): file for file in own} | VENDOR


def _page(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        if not all(file.exists() for file in VENDOR.values()):
            missing = Asset(NOT_INSTALLED.encode(), "text/html", "missing")
            return _secured(_answer(missing, status=503), request)
        return _secured(fresh(read(HERE / name), request), request)

    return serve


async def _asset(request: web.Request) -> web.Response:
    file = assets().get(request.match_info["name"])
    if file is None or not file.exists():
        raise web.HTTPNotFound(headers={"X-Content-Type-Options": "nosniff"})
    return fresh(read(file), request)


def read(file: Path) -> Asset:
    """Return a file's content, cached until the file changes."""
    return _read(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=128)
def _read(file: Path, _changed: int) -> Asset:
    return asset(file.read_bytes(), TYPES[file.suffix])


def asset(body: bytes, content_type: str) -> Asset:
    """Return an asset with the digest of its bytes."""
    return Asset(body, content_type, sha256(body).hexdigest()[:32])


def fresh(asset: Asset, request: web.Request) -> web.Response:
    """Answer with the asset, or with 304 if the request's `If-None-Match` names its ETag."""
    known = {tag.value for tag in request.if_none_match or ()}
    return _answer(asset, status=304 if asset.digest in known else 200)


def _answer(asset: Asset, status: int) -> web.Response:
    body = None if status == 304 else asset.body
    answer = web.Response(body=body, status=status, content_type=asset.content_type, charset="utf-8")
    if status != 503:
        answer.etag = ETag(asset.digest, is_weak=True)
    # Assets keep their names across versions, so a browser must revalidate them on each load.
    answer.headers["Cache-Control"] = "no-store" if status == 503 else "no-cache"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    answer.headers["Vary"] = "Accept-Encoding"
    if body:
        answer.enable_compression()
    return answer


def _secured(answer: web.Response, request: web.Request) -> web.Response:
    answer.headers["Content-Security-Policy"] = policy(request.host)
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    answer.headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"
    return answer


def policy(host: str) -> str:
    """Return the Content-Security-Policy: the page may load and call only its own origin."""
    # Some browsers do not count ws: and wss: of the same host as 'self'.
    sockets = f" ws://{host} wss://{host}" if HOST.fullmatch(host) else ""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"connect-src 'self'{sockets}",
            "img-src 'self' data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
