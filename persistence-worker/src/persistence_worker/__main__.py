"""`python -m persistence_worker`: reads the environment and runs the worker."""

import asyncio
import os
import signal
import sys
from dataclasses import replace

import uvloop
from dotenv import dotenv_values

from persistence_worker.app import run
from persistence_worker.settings import Settings
from shared import logs
from shared.settings import SettingsError, host_name, load


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    environ = {**{k: v or "" for k, v in dotenv_values().items()}, **os.environ}
    try:
        settings = load(Settings, environ)
        settings = replace(settings, worker_name=settings.worker_name or host_name())
        logs.configure(settings.log_level, settings.log_format, worker=settings.worker_name)
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
