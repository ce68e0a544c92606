"""nginx in Kubernetes: a polling client reaches the pod that its session id names, by its name in DNS."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from clients.chat import eventually
from clients.name_server import NameServer
from clients.nginx_edge import run_edge

DOMAIN = "parley-gateway-pods.chat.svc.cluster.local"
ADDRESSES = ("127.0.0.21", "127.0.0.22")


@dataclass
class Cluster:
    """A proxy, and servers at two addresses that answer with them."""

    url: str
    names: NameServer
    http: aiohttp.ClientSession

    def publish(self, **addresses: str) -> None:
        """Give the name server the addresses of pods, by their numbers as `p0`."""
        self.names.addresses = {
            f"parley-gateway-{number[1:]}.{DOMAIN}": [address] for number, address in addresses.items()
        }

    async def poll(self, sid: str) -> tuple[int, str]:
        """Return the status and text of the answer to a poll."""
        query = {"EIO": "4", "transport": "polling", "sid": sid}
        async with self.http.get(f"{self.url}/socket.io/", params=query) as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A proxy in front of the pods parley-gateway-0 and parley-gateway-1."""
    async with AsyncExitStack() as stack:
        port = 0
        for address in ADDRESSES:
            port = await _serve(stack, address, port)
        names = stack.enter_context(NameServer("127.0.0.1", 0))
        settings = {"GATEWAYS": f"gateway:{port}", "GATEWAY_PODS": f"parley-gateway.{DOMAIN}"}
        resolver = {"resolver": f"127.0.0.1:{names.port} valid=1s ipv6=off"}
        edge = await stack.enter_async_context(run_edge("image", tmp_path, settings, resolver))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        found = Cluster(f"http://127.0.0.1:{edge}", names, http)
        found.publish(p0=ADDRESSES[0], p1=ADDRESSES[1])
        yield found


async def _serve(stack: AsyncExitStack, address: str, port: int) -> int:
    """Serve the address as a text there; return the port."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=address)

    app = web.Application()
    app.router.add_get("/socket.io/", answer)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, address, port)
    await site.start()
    return int(runner.addresses[0][1])


async def test_a_poll_goes_to_the_pod_that_its_session_id_names(cluster: Cluster) -> None:
    for number in (0, 1, 1, 0):
        assert await cluster.poll(f"parley-gateway-{number}.c2Vzc2lvbg") == (200, ADDRESSES[number])


async def test_a_pod_is_found_at_its_new_address(cluster: Cluster) -> None:
    assert await cluster.poll("parley-gateway-0.c2Vzc2lvbg") == (200, ADDRESSES[0])

    cluster.publish(p0=ADDRESSES[1])

    async def moved() -> bool:
        return await cluster.poll("parley-gateway-0.c2Vzc2lvbg") == (200, ADDRESSES[1])

    await eventually(moved)


async def test_a_poll_for_a_pod_that_is_gone_is_answered_as_unavailable(cluster: Cluster) -> None:
    status, text = await cluster.poll("parley-gateway-7.c2Vzc2lvbg")

    assert status == 503
    assert '"code": "UNAVAILABLE"' in text


async def test_a_session_id_that_names_no_pod_of_the_gateways_is_refused(cluster: Cluster) -> None:
    cluster.names.addresses["mongo"] = [ADDRESSES[0]]

    status, text = await cluster.poll("mongo.c2Vzc2lvbg")

    assert status == 400
    assert "Session ID unknown" in text
