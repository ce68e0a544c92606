"""Sockets are for the pages of our own origin and of those that are listed; others stay outside."""

import secrets
from collections.abc import AsyncIterator
from typing import cast

import aiohttp
import pytest
import socketio
from aiohttp import web
from aiohttp.test_utils import TestServer

from parley.gateway.bootstrap import Gateway
from parley.gateway.core.ports import Files
from parley.gateway.settings import Settings
from parley.gateway.transport import origins
from parley.shared import mongo

LISTED = "https://chat.example:8443"
FOREIGN = [
    "https://evil.example",
    "null",
    "https://chat.example",
    "https://chat.example:8443.evil.example",
    "*",
]
PATH = "/socket.io/?EIO=4&transport="


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    app = web.Application()
    sockets = socketio.AsyncServer(async_mode="aiohttp", cors_credentials=False)
    origins.install(sockets.eio, [LISTED])
    sockets.attach(app)
    async with TestServer(app) as running:
        yield running
        await sockets.shutdown()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def own(server: TestServer) -> str:
    return str(server.make_url("/")).rstrip("/")


async def test_our_own_pages_and_listed_ones_may_poll(
    server: TestServer, http: aiohttp.ClientSession
) -> None:
    for origin in (own(server), LISTED):
        answer = await http.get(server.make_url(PATH + "polling"), headers={"Origin": origin})
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers["Vary"] == "Origin"


async def test_our_own_pages_and_listed_ones_may_open_websockets(
    server: TestServer, http: aiohttp.ClientSession
) -> None:
    for origin in (own(server), LISTED):
        async with http.ws_connect(server.make_url(PATH + "websocket"), origin=origin) as ws:
            assert (await ws.receive_str(timeout=5)).startswith("0{")


async def test_programs_that_are_no_browsers_may_too(server: TestServer, http: aiohttp.ClientSession) -> None:
    answer = await http.get(server.make_url(PATH + "polling"))
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_other_pages_may_not_poll(origin: str, server: TestServer, http: aiohttp.ClientSession) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        asked = {"Origin": origin, "Access-Control-Request-Headers": "x-own"}
        answer = await http.request(method, server.make_url(PATH + "polling"), headers=asked)
        assert answer.status == 400
        assert not [name for name in answer.headers if name.startswith("Access-Control-")]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_other_pages_may_not_take_over_a_session(
    origin: str, server: TestServer, http: aiohttp.ClientSession
) -> None:
    opened = await http.get(server.make_url(PATH + "polling"))
    sid = (await opened.text()).partition('"sid":"')[2].partition('"')[0]

    for method in ("GET", "POST"):
        path = server.make_url(f"{PATH}polling&sid={sid}")
        assert (await http.request(method, path, data="2", headers={"Origin": origin})).status == 400
    with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
        await http.ws_connect(server.make_url(f"{PATH}websocket&sid={sid}"), origin=origin)


@pytest.mark.parametrize("origin", FOREIGN)
async def test_other_pages_may_not_open_websockets(
    origin: str, server: TestServer, http: aiohttp.ClientSession
) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
        await http.ws_connect(server.make_url(PATH + "websocket"), origin=origin)


async def test_the_gateway_knows_its_own_origin_and_those_of_its_settings() -> None:
    settings = Settings(node_name="g1", jwt_secret=secrets.token_hex(32), cors_origins=(LISTED,))
    async with mongo.connect("mongodb://127.0.0.1:9/parley", connect=False) as database:
        engine = Gateway(settings, database, cast(Files, None)).sockets.server.eio

    def marks(origin: str) -> dict[str, str]:
        asked = {"wsgi.url_scheme": "http", "HTTP_HOST": "own.example", "REQUEST_METHOD": "GET"}
        return dict(engine._cors_headers({**asked, "HTTP_ORIGIN": origin}))

    for origin in ("http://own.example", LISTED):
        assert marks(origin)["Access-Control-Allow-Origin"] == origin
    for origin in FOREIGN:
        assert marks(origin) == {"Vary": "Origin"}
