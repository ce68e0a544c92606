"""Behind nginx, whose headers name the own origin, pages of other origins open no socket."""

import aiohttp
import pytest

from clients.chat import ChatUsers
from clients.nginx_edge import PROXY
from clients.raw import request

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


async def test_the_own_page_may_open_sockets(users: ChatUsers) -> None:
    assert (await request(users.url, "GET", POLLING, Origin=users.url)).status == 200
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(users.url + WEBSOCKET, origin=users.url) as ws,
    ):
        assert (await ws.receive_str(timeout=5)).startswith("0{")


async def test_the_own_page_may_open_sockets_when_tls_ends_before_nginx(users: ChatUsers) -> None:
    secure = users.url.replace("http://", "https://")
    assert (await request(users.url, "GET", POLLING, Origin=secure)).status == 400
    forwarded = {"Origin": secure, "X_Forwarded_Proto": "https"}
    assert (await request(users.url, "GET", POLLING, source=PROXY, **forwarded)).status == 200
    assert (await request(users.url, "GET", POLLING, **forwarded)).status == 400


async def test_the_page_of_a_trusted_proxy_s_host_may_open_sockets(users: ChatUsers) -> None:
    forwarded = {
        "Origin": "https://front.example",
        "X_Forwarded_Proto": "https",
        "X_Forwarded_Host": "front.example",
    }
    assert (await request(users.url, "GET", POLLING, source=PROXY, **forwarded)).status == 200
    assert (await request(users.url, "GET", POLLING, **forwarded)).status == 400
    page = await request(users.url, "GET", "/", source=PROXY, **forwarded)
    assert "wss://front.example" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1"])
async def test_a_foreign_page_may_open_no_socket(origin: str, users: ChatUsers) -> None:
    answer = await request(users.url, "GET", POLLING, Origin=origin, X_Forwarded_Host="evil.example")
    assert answer.status == 400
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
            await http.ws_connect(users.url + WEBSOCKET, origin=origin)


async def test_rest_returns_no_cors_headers_to_a_foreign_page(users: ChatUsers) -> None:
    answer = await request(
        users.url, "GET", "/chats/conversations", Origin="https://evil.example",
        Authorization=f"Bearer {users.user('alice').token}",
    )  # fmt: skip
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]
