"""Runs a gateway from its settings until it is stopped."""

import asyncio
import gc
from contextlib import AsyncExitStack

import structlog
from aiohttp import web

from parley.gateway.adapters.files import open_files
from parley.gateway.bootstrap import Gateway
from parley.gateway.settings import Settings
from parley.shared import migrations, mongo
from parley.shared.http_server import AppRunner
from parley.shared.layouts import Layouts
from parley.shared.reloading import Reloads
from parley.shared.restoration import stop_when_restored
from parley.shared.tracing import open_tracer

log = structlog.get_logger()

SHUTDOWN_SECONDS = 1.0
BACKLOG = 4096
KEY_SETTINGS = ("jwt_secret", "jwt_secret_previous", "jwt_jwks_url")
"""The settings that a reload applies, besides the log level."""


async def run(settings: Settings, stopped: asyncio.Event, reloads: Reloads[Settings]) -> None:
    """Serve until `stopped` is set; then close the listener, drain the clients, and stop the parts."""
    async with AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(open_tracer(settings, "parley-gateway", settings.node_name))
        database = await stack.enter_async_context(
            mongo.connect(settings.mongo_url, service=f"gateway {settings.node_name}")
        )
        await stack.enter_async_context(stop_when_restored(database, stopped))
        files = await stack.enter_async_context(open_files(settings, database))
        gateway = Gateway(settings, database, files, tracer=tracer)
        reloads.on_reload(KEY_SETTINGS, gateway.reload)
        runner = AppRunner(
            gateway.application(),
            access_log=None,
            shutdown_timeout=SHUTDOWN_SECONDS,
            # Compressed bodies are refused, so they need not be decompressed.
            auto_decompress=False,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await migrations.prepare(database, stopped)
        layout = await Layouts(database).check(settings, stopped, name=f"gateway {settings.node_name}")
        gateway.adapters.layout_watch.begin_with(layout)
        gateway.start()
        stack.push_async_callback(gateway.stop)
        site = web.TCPSite(runner, settings.gateway_host, settings.gateway_port, backlog=BACKLOG)
        await site.start()
        stack.push_async_callback(site.stop)
        # A collection stalls the loop for hundreds of ms at 5,000 sockets: exclude what lives as long as the
        # process, and collect rarely.
        gc.freeze()
        gc.set_threshold(50_000, 50, 100)
        log.info("gateway.started", host=settings.gateway_host, port=settings.gateway_port)
        await stopped.wait()
        log.info("gateway.stopping")
    log.info("gateway.stopped")
