"""REST responses carry CORS headers for listed origins only."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from parley.gateway.rest.cors import Cors
from parley.gateway.settings import Settings
from parley.shared.http_server import json_errors
from parley.shared.settings import load

OURS, OTHERS = "http://localhost:3100", "https://elsewhere.example"
PREFLIGHT = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}


async def _answer(_request: web.Request) -> web.Response:
    return web.json_response({"success": True})


async def _stream(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b"bytes")
    return answer


@pytest.fixture
async def url() -> AsyncIterator[str]:
    app = web.Application(middlewares=[json_errors])
    app.router.add_get("/chats/conversations", _answer)
    app.router.add_get("/attachments/1", _stream)
    app.router.add_get("/socket.io/", _answer)
    Cors([OURS], ["baggage", "x-requested-with"]).install(app)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def headers_of(
    url: str, path: str, origin: str, method: str = "GET", **more: str
) -> tuple[int, dict[str, str]]:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, url + path, headers={"Origin": origin, **more}) as answer,
    ):
        await answer.read()
        return answer.status, dict(answer.headers)


async def test_a_page_of_a_listed_origin_may_ask_with_a_token(url: str) -> None:
    status, headers = await headers_of(url, "/chats/conversations", OURS, "OPTIONS", **PREFLIGHT)
    assert status == 204
    assert headers["Access-Control-Allow-Origin"] == OURS
    assert "PATCH" in headers["Access-Control-Allow-Methods"]
    assert "Authorization" in headers["Access-Control-Allow-Headers"]
    assert headers["Access-Control-Allow-Credentials"] == "true"
    allowed = headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", "content-type", "baggage", "x-requested-with"} <= set(allowed)


def test_the_headers_of_tracing_and_of_common_clients_are_allowed_by_default() -> None:
    wanted = {"baggage", "sentry-trace", "traceparent", "x-requested-with"}
    assert wanted <= set(load(Settings, {}).cors_headers)


@pytest.mark.parametrize("path", ["/chats/conversations", "/attachments/1", "/no/such/path"])
async def test_every_response_names_the_allowed_origin(url: str, path: str) -> None:
    status, headers = await headers_of(url, path, OURS)
    assert status == (404 if path == "/no/such/path" else 200)
    assert headers["Access-Control-Allow-Origin"] == OURS
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Vary"] == "Origin"
    assert "Content-Range" in headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("origin", [OTHERS, "null", "http://localhost:31000", "http://localhost"])
async def test_other_origins_get_no_cors_headers(url: str, origin: str) -> None:
    for method, more in (("OPTIONS", PREFLIGHT), ("GET", {})):
        _, headers = await headers_of(url, "/chats/conversations", origin, method, **more)
        assert [name for name in headers if name.startswith("Access-Control")] == []
        assert headers["Vary"] == "Origin"


async def test_socket_io_keeps_its_own_rules(url: str) -> None:
    _, headers = await headers_of(url, "/socket.io/", OURS)
    assert "Access-Control-Allow-Origin" not in headers
