"""Pages of the gateway's own origin and of the listed ones may open sockets; other pages may not."""

import secrets
from collections.abc import AsyncIterator
from typing import cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, make_mocked_request

from parley.gateway.bootstrap import Gateway
from parley.gateway.core.ports import Files
from parley.gateway.settings import Settings
from parley.gateway.transport.origins import AllowedOrigins
from parley.gateway.transport.server import ChatServer
from parley.gateway.transport.trusted_proxies import TrustedProxies
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
    sockets = ChatServer(allowed_origins=[LISTED])
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


async def test_own_and_listed_pages_may_poll(server: TestServer, http: aiohttp.ClientSession) -> None:
    for origin in (own(server), LISTED):
        answer = await http.get(server.make_url(PATH + "polling"), headers={"Origin": origin})
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers["Vary"] == "Origin"


async def test_own_and_listed_pages_may_open_websockets(
    server: TestServer, http: aiohttp.ClientSession
) -> None:
    for origin in (own(server), LISTED):
        async with http.ws_connect(server.make_url(PATH + "websocket"), origin=origin) as ws:
            assert (await ws.receive_str(timeout=5)).startswith("0{")


async def test_programs_other_than_browsers_may_open_sockets(
    server: TestServer, http: aiohttp.ClientSession
) -> None:
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


async def test_the_gateway_allows_its_own_origin_and_those_of_its_settings() -> None:
    settings = Settings(node_name="g1", jwt_secret=secrets.token_hex(32), cors_origins=(LISTED,))
    async with mongo.connect("mongodb://127.0.0.1:9/parley", connect=False) as database:
        engine = Gateway(settings, database, cast(Files, None)).sockets.server.eio

    async def cors_headers(origin: str) -> dict[str, str]:
        request = make_mocked_request("GET", PATH, headers={"Host": "own.example", "Origin": origin})
        return dict((await engine.handle_request(request)).headers)

    for origin in ("http://own.example", LISTED):
        assert (await cors_headers(origin))["Access-Control-Allow-Origin"] == origin
    for origin in FOREIGN:
        headers = await cors_headers(origin)
        assert headers["Vary"] == "Origin"
        assert not [name for name in headers if name.startswith("Access-Control-")]


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({"X-Forwarded-Proto": "https"}, "https://own.example"),
        ({"X-Forwarded-Proto": "https, http"}, "https://own.example"),
        (
            {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "front.example, own.example"},
            "https://front.example",
        ),
    ],
)
def test_the_own_origin_is_the_one_that_the_proxy_was_asked_for(headers: dict[str, str], own: str) -> None:
    asked = {"Host": "own.example", **headers}
    origins = AllowedOrigins(proxies=TrustedProxies(["10.0.0.0/8"]))

    def allows(origin: str, sender: str) -> bool:
        request = make_mocked_request("GET", PATH, headers={**asked, "Origin": origin})
        return origins.allows(request.clone(remote=sender))

    assert allows(own, "10.1.2.3")
    assert not allows(own, "11.1.2.3")
    assert not allows("http://own.example:1", "10.1.2.3")


@pytest.mark.parametrize(
    ("listed", "origin"),
    [
        ("https://chat.example", "https://chat.example:443"),
        ("https://chat.example:443", "https://chat.example"),
        ("https://chat.example", "wss://chat.example"),
        ("http://chat.example", "ws://chat.example:80"),
        ("https://Chat.Example", "https://chat.example"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("", "ws://own.example"),
        ("", "http://OWN.example:80"),
    ],
)
def test_an_origin_is_compared_without_a_default_port_and_as_one_of_http(listed: str, origin: str) -> None:
    request = make_mocked_request("GET", PATH, headers={"Host": "own.example", "Origin": origin})
    assert AllowedOrigins([listed]).allows(request)


@pytest.mark.parametrize(
    "origin",
    ["http://chat.example:443", "https://chat.example:80", "ws://chat.example", "https://chat.example:4430"],
)
def test_another_scheme_or_port_is_another_origin(origin: str) -> None:
    request = make_mocked_request("GET", PATH, headers={"Host": "own.example", "Origin": origin})
    assert not AllowedOrigins(["https://chat.example"]).allows(request)
