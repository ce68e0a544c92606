"""Endpoints for operators: liveness, readiness, metrics."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from parley.shared import metrics

Problems = Callable[[], Awaitable[list[str]]]


def add_routes(app: web.Application, problems: Problems) -> None:
    """Serve `/healthz`, `/readyz` (503 with the problems, if there are any) and `/metrics`.

    A scrape of the metrics looks for problems too, and so pings MongoDB: 1 s at most.
    """

    async def ready(_request: web.Request) -> web.Response:
        found = await problems()
        return web.json_response({"ready": not found, "problems": found}, status=503 if found else 200)

    async def scrape(_request: web.Request) -> web.Response:
        metrics.ready.set(not await problems())
        metrics.tasks.set(len(asyncio.all_tasks()))
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/healthz", _alive)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", scrape)


async def _alive(_request: web.Request) -> web.Response:
    return web.json_response({"alive": True})
