"""A balancer of HTTP requests that sends each one to the next server, as an Ingress without affinity may."""

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "keep-alive"}


@asynccontextmanager
async def balancer(servers: Sequence[str]) -> AsyncIterator[str]:
    """Run a balancer in front of servers; yields its URL. It passes no WebSockets.

    Args:
        servers: their URLs.
    """
    addresses = itertools.cycle(servers)
    async with aiohttp.ClientSession(auto_decompress=False) as http:

        async def pass_on(request: web.Request) -> web.Response:
            url = f"{next(addresses)}{request.raw_path}"
            headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
            async with http.request(
                request.method, url, headers=headers, data=await request.read()
            ) as answer:
                body = await answer.read()
                kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
                return web.Response(status=answer.status, headers=kept, body=body)

        app = web.Application(client_max_size=1 << 25)
        app.router.add_route("*", "/{tail:.*}", pass_on)
        runner = web.AppRunner(app, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
