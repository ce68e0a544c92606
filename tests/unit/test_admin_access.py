"""Access to the admin page: gateways decide, and an administrator goes on looking while none answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from parley.cli.admin import access as module
from parley.cli.admin.access import Access, Refusal
from parley.cli.admin.latest_environment import LatestEnvironment
from parley.cli.admin.nodes import Nodes
from parley.cli.environment import Environment

NOBODY = "http://127.0.0.1:9"
"""An address at which nothing listens."""
REFUSALS = {
    401: {"code": "UNAUTHORIZED", "message": "The token has expired.", "retryable": False},
    403: {"code": "FORBIDDEN", "message": "Only an admin may administer.", "retryable": False},
    404: {"code": "NOT_FOUND", "message": "Unknown path.", "retryable": False},
    429: {"code": "RATE_LIMITED", "message": "Rate limit exceeded.", "retryable": True, "retryAfter": 1.5},
    503: {"code": "UNAVAILABLE", "message": "The keys cannot be fetched.", "retryable": True},
}


class FakeGateway:
    """Answers as a gateway does; the real ones are in tests/e2e/test_admin_api.py."""

    def __init__(self) -> None:
        self.status = 200
        self.asked = 0
        self.hangs = False

    async def session(self, _request: web.Request) -> web.Response:
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(60)
        error = REFUSALS.get(self.status)
        body = {"success": False, "error": error} if error else {"success": True, "userId": "root"}
        return web.json_response(body, status=self.status)

    async def readyz(self, _request: web.Request) -> web.Response:
        if self.hangs:
            await asyncio.sleep(60)
        return web.json_response({"ready": True, "problems": []})

    async def metrics(self, _request: web.Request) -> web.Response:
        return web.Response(text="parley_deliveries_total 1.0\n")


@pytest.fixture
async def gateways() -> AsyncIterator[list[tuple[FakeGateway, str]]]:
    """Two gateways with their URLs."""
    async with AsyncExitStack() as opened:
        found = []
        for _ in range(2):
            gateway, app = FakeGateway(), web.Application()
            app.router.add_get("/admin/session", gateway.session)
            app.router.add_get("/readyz", gateway.readyz)
            app.router.add_get("/metrics", gateway.metrics)
            server = await opened.enter_async_context(TestServer(app, shutdown_timeout=0))
            found.append((gateway, str(server.make_url("")).rstrip("/")))
        yield found


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as http:
        yield http


Gateways = list[tuple[FakeGateway, str]]


async def refusal(access: Access, urls: list[str], token: str = "a token") -> Refusal:
    with pytest.raises(Refusal) as caught:
        await access.check(token, urls)
    return caught.value


async def test_a_token_is_shown_to_a_gateway_at_each_request(
    gateways: Gateways, http: aiohttp.ClientSession
) -> None:
    (first, url), (second, other) = gateways
    access = Access(http)
    assert [await access.check("a token", [url, other]) for _ in range(3)] == ["root"] * 3
    assert (first.asked, second.asked) == (3, 0)


@pytest.mark.parametrize("status", [401, 403, 429])
async def test_a_gateway_s_refusal_is_passed_on(
    status: int, gateways: Gateways, http: aiohttp.ClientSession
) -> None:
    (first, url), (second, other) = gateways
    access = Access(http)
    await access.check("a token", [url])
    first.status = status
    refused = await refusal(access, [url, other])
    assert (refused.status, refused.code) == (status, REFUSALS[status]["code"])
    assert refused.payload()["error"].get("retryAfter") == REFUSALS[status].get("retryAfter")
    assert second.asked == 0
    if status == 429:
        assert await access.check("a token", [NOBODY]) == "root"
    else:
        assert (await refusal(access, [NOBODY])).status == 503, "a refused administrator is remembered"


async def test_a_missing_token_is_refused_without_asking(
    gateways: Gateways, http: aiohttp.ClientSession
) -> None:
    (first, url), _ = gateways
    assert (await refusal(Access(http), [url], "")).status == 401
    assert first.asked == 0


@pytest.mark.parametrize("fault", ["gone", "hangs", "503"])
async def test_another_gateway_is_asked_when_one_cannot_answer(
    fault: str, gateways: Gateways, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GATEWAY_SECONDS", 0.2)
    (first, url), (second, other) = gateways
    first.hangs, first.status = fault == "hangs", 503 if fault == "503" else 200
    access = Access(http)
    urls = [NOBODY if fault == "gone" else url, other]
    assert await access.check("a token", urls) == "root"
    asked = first.asked
    assert await access.check("a token", urls) == "root"
    assert (first.asked, second.asked) == (asked, 2), "the one that answers is preferred"


async def test_an_administrator_is_remembered_for_some_minutes_only(
    gateways: Gateways, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    (_, url), _ = gateways
    access = Access(http)
    await access.check("a token", [url])
    assert await access.check("a token", [NOBODY]) == "root"
    assert (await refusal(access, [NOBODY], "another token")).retry_after == 1
    monkeypatch.setattr(module, "REMEMBERED_SECONDS", -1.0)
    await access.check("a token", [url])
    assert (await refusal(access, [NOBODY])).code == "UNAVAILABLE"


async def test_gateways_without_the_path_are_named_as_the_cause(
    gateways: Gateways, http: aiohttp.ClientSession
) -> None:
    (first, url), _ = gateways
    first.status = 404
    refused = await refusal(Access(http), [url])
    assert (refused.status, refused.message) == (503, module.OLD_GATEWAY)


async def test_a_node_that_hangs_is_silent_and_keeps_its_last_answer(
    gateways: Gateways, http: aiohttp.ClientSession
) -> None:
    (first, url), (_, other) = gateways
    nodes = Nodes(http)
    loop = asyncio.get_running_loop()
    try:
        await nodes.look([url], [other], "")
        first.hangs = True
        began = loop.time()
        await nodes.look([url], [other], "")
        assert 1.0 <= loop.time() - began < 1.3
        (hanging,), (answering,) = nodes.gateways, nodes.workers
        assert (hanging.shown()["state"], answering.shown()["state"]) == ("silent", "ready")
        assert hanging.probe is not None
        assert hanging.shown()["silentSeconds"] >= 1.0
    finally:
        await nodes.close()


async def test_the_environment_is_found_anew_once_a_second_at_most() -> None:
    found: list[Environment] = []

    def find() -> Environment:
        found.append(Environment(variables={}, gateways=(), workers=()))
        return found[-1]

    latest = LatestEnvironment(find)
    first, second = await asyncio.gather(latest.get(), latest.get())
    assert first is second is found[0]
    assert len(found) == 1
