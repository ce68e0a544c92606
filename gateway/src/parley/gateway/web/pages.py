"""Serves the chat page at `/`, the API documentation at `/docs`, and their assets below `/assets/`.

A page names its assets below a digest of all of them, so a browser keeps them without asking again. Modules
import each other by relative paths, so they stay below it.
"""

import gzip
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from aiohttp import ETag, hdrs, web

from parley.gateway.transport.trusted_proxies import TrustedProxies
from parley.shared.http_server import add_route

HERE = Path(__file__).parent
INSTALLED = HERE / "node_modules"
VENDOR = {
    "vendor/preact.js": INSTALLED / "htm/preact/standalone.module.js",
    "vendor/socket.io.js": INSTALLED / "socket.io-client/dist/socket.io.esm.min.js",
}
"""Third-party modules that `npm ci` installs, by the name under which the page imports them."""
OWN_FILES = ("*.js", "*.css", "*.svg", "state/*.js", "chat/*.js", "views/*.js", "docs/*.js", "docs/*.css")
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
MODULES = ("app.js", "state/*.js", "chat/*.js", "views/*.js")
"""The chat page's own modules."""
PRELOADS = "    <!-- preloads -->\n"
BELOW_DIGEST = re.compile(r"(?P<digest>[0-9a-f]{16})/(?P<name>.+)")
REVALIDATED: Final = "no-cache"
KEPT: Final = "public, max-age=31536000, immutable"
NOT_INSTALLED = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Parley</title>'
    "<p>The chat page's scripts are not installed. Run <code>make up</code> to install them."
)
HOST = re.compile(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9A-Fa-f:]+\](:\d+)?")


@dataclass(frozen=True, slots=True)
class Asset:
    """A file's bytes, and their digest, which is its ETag.

    Attributes:
        compressed: The bytes by gzip. Anybody may ask for them, and to compress them takes 2 ms, so that is
            done once.
    """

    body: bytes
    content_type: str
    digest: str
    compressed: bytes


def add_routes(app: web.Application, proxies: TrustedProxies) -> None:
    """Register the routes of the pages and their assets; `proxies` tell the host that a page is at."""
    app.router.add_get("/", _page("index.html", proxies))
    for method in (hdrs.METH_GET, hdrs.METH_HEAD):
        add_route(app, method, "/docs", _page("docs.html", proxies))
    app.router.add_get("/assets/{name:.+}", _asset)


def assets() -> dict[str, Path]:
    """Return the servable files by their names below `/assets/`."""
    own = [file for pattern in OWN_FILES for file in HERE.glob(pattern)]
    return {file.relative_to(HERE).as_posix(): file for file in own} | VENDOR


def assets_digest() -> str:
    """Return the digest of all assets, cached until one of them changes."""
    files = [(name, file) for name, file in sorted(assets().items()) if file.exists()]
    return _assets_digest(tuple((name, file, file.stat().st_mtime_ns) for name, file in files))


@lru_cache(maxsize=4)
def _assets_digest(files: tuple[tuple[str, Path, int], ...]) -> str:
    together = sha256()
    for name, file, _changed in files:
        together.update(f"{name} {read(file).digest}\n".encode())
    return together.hexdigest()[:16]


def _page(name: str, proxies: TrustedProxies) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        _, host = proxies.own_origin(request)
        if not all(file.exists() for file in VENDOR.values()):
            missing = asset(NOT_INSTALLED.encode(), "text/html")
            return _secured(_answer(missing, request, status=503), host)
        return _secured(fresh(page(read(HERE / name), assets_digest()), request), host)

    return serve


@lru_cache(maxsize=8)
def page(source: Asset, digest: str) -> Asset:
    """Return a page whose assets are below a digest, and which preloads its modules if it says so."""
    text = source.body.decode().replace(PRELOADS, _preloads()).replace("/assets/", f"/assets/{digest}/")
    return asset(text.encode(), source.content_type)


def _preloads() -> str:
    """Return links to all modules: otherwise each level of imports would cost a round trip."""
    own = sorted(file.relative_to(HERE).as_posix() for pattern in MODULES for file in HERE.glob(pattern))
    return "".join(f'    <link rel="modulepreload" href="/assets/{name}">\n' for name in (*own, *VENDOR))


async def _asset(request: web.Request) -> web.Response:
    name, kept = request.match_info["name"], REVALIDATED
    if below := BELOW_DIGEST.fullmatch(name):
        name = below["name"]
        # During an upgrade the page of another version may ask for its digest: it must not keep our file.
        kept = KEPT if below["digest"] == assets_digest() else REVALIDATED
    file = assets().get(name)
    if file is None or not file.exists():
        raise web.HTTPNotFound(headers={"X-Content-Type-Options": "nosniff"})
    return fresh(read(file), request, kept)


def read(file: Path) -> Asset:
    """Return a file's content, cached until the file changes."""
    return _read(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=128)
def _read(file: Path, _changed: int) -> Asset:
    return asset(file.read_bytes(), TYPES[file.suffix])


def asset(body: bytes, content_type: str) -> Asset:
    """Return an asset with the digest of its bytes."""
    return Asset(body, content_type, sha256(body).hexdigest()[:32], gzip.compress(body, mtime=0))


def fresh(asset: Asset, request: web.Request, kept: str = REVALIDATED) -> web.Response:
    """Answer with the asset, or with 304 if the request's `If-None-Match` names its ETag."""
    known = {tag.value for tag in request.if_none_match or ()}
    return _answer(asset, request, status=304 if asset.digest in known else 200, kept=kept)


def _answer(asset: Asset, request: web.Request, status: int, kept: str = REVALIDATED) -> web.Response:
    takes_gzip = "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "").lower()
    body = None if status == 304 else asset.compressed if takes_gzip else asset.body
    answer = web.Response(body=body, status=status, content_type=asset.content_type, charset="utf-8")
    if status != 503:
        answer.etag = ETag(asset.digest, is_weak=True)
    answer.headers["Cache-Control"] = "no-store" if status == 503 else kept
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    answer.headers["Vary"] = "Accept-Encoding"
    if body and takes_gzip:
        answer.headers[hdrs.CONTENT_ENCODING] = "gzip"
    return answer


def _secured(answer: web.Response, host: str) -> web.Response:
    answer.headers["Content-Security-Policy"] = policy(host)
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
