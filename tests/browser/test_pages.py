"""Serving the chat page: security headers, caching, and the files that are served."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from parley.gateway.transport.trusted_proxies import TrustedProxies
from parley.gateway.web import pages

KEPT = "public, max-age=31536000, immutable"

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = web.Application()
    pages.add_routes(app, TrustedProxies())
    async with TestClient(TestServer(app)) as running:
        yield running


async def test_the_page_may_load_and_call_only_its_own_origin(client: Client) -> None:
    answer = await client.get("/", headers={"Host": "chat.example:8443"})
    assert (answer.status, answer.content_type) == (200, "text/html")
    directives = dict(
        directive.strip().split(" ", 1) for directive in answer.headers["Content-Security-Policy"].split(";")
    )
    assert directives == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self' ws://chat.example:8443 wss://chat.example:8443",
        "img-src": "'self' data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("host", ["x; script-src *", "x y", "'unsafe-inline'", "x,y"])
def test_an_invalid_host_adds_nothing_to_the_policy(host: str) -> None:
    assert "connect-src 'self';" in pages.policy(host)


async def test_a_cached_asset_is_not_sent_again(client: Client) -> None:
    for path in ("/", "/docs", "/assets/app.js", "/assets/style.css", "/assets/vendor/socket.io.js"):
        first = await client.get(path)
        assert (first.status, first.headers["Cache-Control"]) == (200, "no-cache")
        again = await client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, await again.read()) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]


async def test_a_page_names_assets_that_a_browser_keeps(client: Client) -> None:
    for path in ("/", "/docs"):
        text = await (await client.get(path)).text()
        named = re.findall(r'(?:href|src)="(/assets/[^"]+)"', text)
        assert named
        for asset in named:
            answer = await client.get(asset)
            assert (answer.status, answer.headers["Cache-Control"]) == (200, KEPT), asset
            assert (await answer.read()) == await (await client.get(_without_digest(asset))).read()


def _without_digest(path: str) -> str:
    return re.sub(r"/assets/[0-9a-f]{16}/", "/assets/", path)


async def test_the_page_preloads_every_module_that_it_imports(client: Client) -> None:
    text = await (await client.get("/")).text()
    preloaded = re.findall(r'<link rel="modulepreload" href="/assets/[0-9a-f]{16}/([^"]+)">', text)
    modules = {name for name in pages.assets() if name.endswith(".js") and not name.startswith("docs/")}
    assert sorted(preloaded) == sorted(modules)


async def test_no_browser_keeps_an_asset_under_the_digest_of_another_version(client: Client) -> None:
    answer = await client.get("/assets/0123456789abcdef/app.js")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-cache")
    assert (await client.get(f"/assets/{pages.assets_digest()}/pages.py")).status == 404


async def test_a_changed_asset_changes_the_digest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "preact.js"
    file.write_text("one")
    monkeypatch.setattr(pages, "VENDOR", {"vendor/preact.js": file})
    before = pages.assets_digest()
    file.write_text("other")
    assert pages.assets_digest() != before


async def test_every_module_that_is_imported_is_served(client: Client) -> None:
    for name in pages.assets():
        answer = await client.get(f"/assets/{name}")
        assert answer.status == 200, name
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.charset == "utf-8"


@pytest.mark.parametrize(
    "path",
    ["pages.py", "package.json", "index.html", "../pages.py", "node_modules/ws/index.js", "nothing.js"],
)
async def test_no_other_file_is_served(client: Client, path: str) -> None:
    assert (await client.get(f"/assets/{path}")).status == 404


async def test_a_page_without_its_scripts_answers_503_with_the_remedy(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pages, "VENDOR", {"vendor/preact.js": tmp_path / "preact.js"})
    answer = await client.get("/")
    assert answer.status == 503
    assert answer.headers["Cache-Control"] == "no-store"
    text = await answer.text()
    assert "The chat page's scripts are not installed. Run <code>make up</code> to install them." in text
    assert (await client.get("/assets/vendor/preact.js")).status == 404


async def test_a_changed_asset_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a.js"
    file.write_text("one")
    assert pages.read(file).body == b"one"
    file.write_text("other")
    assert pages.read(file).body == b"other"
