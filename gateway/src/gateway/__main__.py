"""`python -m gateway`: reads the environment and runs the gateway."""

import asyncio
import os
import signal
import sys
from dataclasses import replace

import uvloop
from dotenv import dotenv_values

from gateway.serve import run
from gateway.settings import Settings
from shared import logs
from shared.settings import SettingsError, host_name, load


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    environ = {**{k: v or "" for k, v in dotenv_values().items()}, **os.environ}
    try:
        settings = load(Settings, environ)
        settings = replace(settings, node_name=settings.node_name or host_name())
        logs.configure(settings.log_level, settings.log_format, node=settings.node_name)
        uvloop.run(_until_signalled(settings))
    except SettingsError as error:
        sys.exit(str(error))


async def _until_signalled(settings: Settings) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await run(settings, stopped)


if __name__ == "__main__":
    main()
