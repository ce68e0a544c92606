"""`python -m gateway`: reads the environment and runs the gateway."""

import asyncio
import os
import signal
import sys

import uvloop
from dotenv import dotenv_values

from gateway.app import run
from gateway.settings import Settings
from shared import logs
from shared.settings import SettingsError, load


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    environ = {**{k: v or "" for k, v in dotenv_values().items()}, **os.environ}
    try:
        settings = load(Settings, environ)
    except SettingsError as error:
        sys.exit(str(error))
    logs.configure(settings.log_level, settings.log_format, node=settings.node_name)
    uvloop.run(_until_signalled(settings))


async def _until_signalled(settings: Settings) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await run(settings, stopped)


if __name__ == "__main__":
    main()
