"""The server of the admin page: the page, its API, and a health check."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from parley.cli.admin import assets
from parley.cli.admin.access import Access
from parley.cli.admin.api import AdminApi
from parley.cli.admin.latest_environment import LatestEnvironment
from parley.cli.admin.watch import LOOK_SECONDS, Watch
from parley.cli.environment import Environment
from parley.shared.http_server import AppRunner, json_errors

LARGEST_BODY = 1_024
"""No request needs a body."""
STOP_SECONDS = 1.0


@asynccontextmanager
async def serve(
    host: str, port: int, find_environment: Callable[[], Environment], look_seconds: float = LOOK_SECONDS
) -> AsyncIterator[int]:
    """Serve the page until the end of the context; yield the port, which is a free one for port 0.

    Nothing is asked, and no connection is open, while nobody has the page open.

    Args:
        host: The address to listen on.
        port: The port to listen on.
        find_environment: Returns the servers and the present addresses of gateways and workers; may block.
        look_seconds: Time between two looks at everything.

    Raises:
        OSError: The port cannot be listened on.
    """
    latest = LatestEnvironment(find_environment)
    watch = Watch(latest, look_seconds)
    async with aiohttp.ClientSession() as http:
        app = web.Application(middlewares=[json_errors], client_max_size=LARGEST_BODY)
        assets.add_routes(app)
        app.router.add_get("/healthz", _alive)
        AdminApi(latest, Access(http), watch).add_routes(app)
        runner = AppRunner(app, access_log=None, shutdown_timeout=STOP_SECONDS)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port)
            await site.start()
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()
            await watch.close()


async def _alive(_request: web.Request) -> web.Response:
    return web.json_response({"alive": True})
