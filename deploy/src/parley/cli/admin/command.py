"""`parley admin`: serves the admin page until it is stopped."""

import asyncio
import signal
from collections.abc import Callable
from functools import partial
from typing import Annotated

import structlog
import typer

from parley.cli import environment
from parley.cli.environment import Environment
from parley.cli.errors import CommandError
from parley.shared import logs
from parley.shared.settings import HIGHEST_PORT

PORT = 8082

log = structlog.get_logger()


def admin(
    context: typer.Context,
    host: Annotated[
        str, typer.Option(envvar="ADMIN_HOST", help="The address that the page listens on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="ADMIN_PORT", min=0, max=HIGHEST_PORT, help="Its port; 0 takes a free one.")
    ] = PORT,
) -> None:
    """Serve the admin page until Ctrl-C: gateways, workers, sockets, lag, slow clients, dead letters.

    It asks nobody anything while nobody has it open. It is for users whose token has the role admin:
    `parley token YOU --role admin`.
    """
    env = environment.of(context)
    logs.configure(env.settings.log_level, env.settings.log_format)
    asyncio.run(_serve(host, port, partial(environment.of, context)))


async def _serve(host: str, port: int, find_environment: Callable[[], Environment]) -> None:
    from parley.cli.admin.server import serve

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        async with serve(host, port, find_environment) as chosen:
            log.info("admin.started", url=f"http://{_joined(host, chosen)}/admin")
            await stopped.wait()
            log.info("admin.stopping")
    except OSError as error:
        raise CommandError(
            f"Cannot listen on {_joined(host, port)} ({error.strerror or error}): choose another ADMIN_PORT "
            "or ADMIN_HOST."
        ) from error
    log.info("admin.stopped")


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
