"""The gateway's HTTP server: its own errors are JSON, long headers and old versions of HTTP are taken."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from clients.nginx_edge import send
from parley.gateway.transport.server import ChatServer
from parley.shared.http_server import AppRunner, json_errors


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"success": True})

    async def fail(_request: web.Request) -> web.Response:
        raise RuntimeError

    app = web.Application(middlewares=[json_errors])
    app.router.add_get("/x", answer)
    app.router.add_get("/failing", fail)
    sockets = ChatServer()
    sockets.attach(app, "socket.io")
    runner = AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await sockets.shutdown()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nHost: h\r\nToken: " + b"x" * 40_000 + b"\r\n\r\n", 400),
        (b"GET /x?" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nHost: h\r\nExpect: nonsense\r\nConnection: close\r\n\r\n", 417),
        (b"GET /no HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 404),
        (b"POST /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 405),
        (b"GET /failing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 500),
        (b"GET /socket.io/?EIO=3&transport=polling HTTP/1.0\r\n\r\n", 400),
        (b"GET /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.0\r\n\r\n", 400),
        (b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.0\r\n\r\n", 400),
    ],
)
async def test_each_error_has_the_default_schema(port: int, data: bytes, status: int) -> None:
    answer = await send(port, data)
    body = json.loads(answer.body)
    assert answer.status == status
    assert "content-type: application/json" in answer.head.lower()
    assert body["success"] is False
    assert set(body["error"]) == {"code", "message", "retryable"}
    assert "nonsense" not in str(body)


@pytest.mark.parametrize(
    "data",
    [
        b"GET /x HTTP/1.0\r\n\r\n",
        b"GET /x HTTP/1.0\r\nHost: h\r\n\r\n",
        b"GET /x HTTP/1.0\r\nAuthorization: Bearer "
        + b"x" * 10_000
        + b"\r\nCookie: "
        + b"y" * 9_000
        + b"\r\n\r\n",
        b"GET /x?token=" + b"x" * 12_000 + b" HTTP/1.0\r\n\r\n",
    ],
)
async def test_long_headers_and_old_versions_are_taken(port: int, data: bytes) -> None:
    assert (await send(port, data)).status == 200


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_socket_s_path_has_a_slash_at_its_end_or_none(port: int, slash: str) -> None:
    url = f"http://127.0.0.1:{port}/socket.io{slash}?EIO=4&transport="
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{url}polling&_=123&unknown=1") as answer:
            assert (answer.status, (await answer.text())[0]) == (200, "0")
        async with http.ws_connect(f"{url}websocket") as ws:
            assert (await ws.receive_str(timeout=5)).startswith("0{")


@pytest.mark.parametrize(("offered", "accepted"), [([], None), (["chat"], "chat"), (["a", "b"], "a")])
async def test_the_first_subprotocol_of_a_websocket_is_accepted(
    port: int, offered: list[str], accepted: str | None
) -> None:
    async with aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
        async with http.ws_connect(url, protocols=offered) as ws:
            assert ws.protocol == accepted
            assert (await ws.receive_str(timeout=5)).startswith("0{")
