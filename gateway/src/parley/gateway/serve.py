"""Runs a gateway from its settings until it is told to stop."""

import asyncio
import gc
from contextlib import AsyncExitStack

import structlog
from aiohttp import web

from parley.gateway.adapters.files import open_files
from parley.gateway.bootstrap import Gateway
from parley.gateway.settings import Settings
from parley.shared import migrations, mongo

log = structlog.get_logger()

SHUTDOWN_SECONDS = 1.0
BACKLOG = 4096


async def run(settings: Settings, stopped: asyncio.Event) -> None:
    """Serve until `stopped`; then accept nothing more, and end in an order that loses nothing."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(mongo.connect(settings.mongo_url))
        files = await stack.enter_async_context(open_files(settings, database))
        gateway = Gateway(settings, database, files)
        runner = web.AppRunner(
            gateway.application(),
            access_log=None,
            shutdown_timeout=SHUTDOWN_SECONDS,
            # Packed bodies are refused, so none is worth unpacking.
            auto_decompress=False,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await migrations.prepare(database, stopped)
        gateway.start()
        stack.push_async_callback(gateway.stop)
        site = web.TCPSite(runner, settings.gateway_host, settings.gateway_port, backlog=BACKLOG)
        await site.start()
        stack.push_async_callback(site.stop)
        # What lives as long as the process is not worth looking at by the garbage collector.
        gc.freeze()
        gc.set_threshold(50_000, 50, 100)
        log.info("serving", host=settings.gateway_host, port=settings.gateway_port)
        await stopped.wait()
        log.info("stopping")
    log.info("stopped")
