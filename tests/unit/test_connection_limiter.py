"""A full gateway refuses new sessions, counting those that wait for their turn, and serves all else."""

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from parley.gateway.sockets.connection_limiter import ConnectionLimiter
from parley.gateway.state.rates import Rates
from parley.gateway.transport.trusted_proxies import TrustedProxies

HANDSHAKE = "/socket.io/?EIO=4&transport=websocket"


async def respond(path: str, sockets: int) -> web.StreamResponse:
    """Answer a request at a gateway that takes two sockets."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text="handled")

    limiter = ConnectionLimiter(Rates({}), lambda: sockets, 2, TrustedProxies())
    return await limiter.middleware(make_mocked_request("GET", path), handler)


@pytest.mark.parametrize("path", [HANDSHAKE, f"{HANDSHAKE}&sid=", "/socket.io?EIO=4&transport=polling"])
async def test_a_handshake_is_refused_when_the_gateway_is_full(path: str) -> None:
    assert (await respond(path, 1)).status == 200

    refused = await respond(path, 2)

    assert isinstance(refused, web.Response)
    assert isinstance(refused.body, bytes)
    error = orjson.loads(refused.body)["error"]
    assert (refused.status, error["code"], error["retryable"]) == (503, "OVERLOADED", True)
    assert refused.headers["Retry-After"]


@pytest.mark.parametrize("path", [f"{HANDSHAKE}&sid=g1.x", "/healthz", "/chats/conversations"])
async def test_other_requests_are_served_when_the_gateway_is_full(path: str) -> None:
    assert (await respond(path, 2)).status == 200
