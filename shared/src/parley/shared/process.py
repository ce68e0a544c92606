"""A service as a process: settings from the environment, logs, signals."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import uvloop
from dotenv import dotenv_values

from parley.shared import logs
from parley.shared.collection_times import watch_collections
from parley.shared.settings import SharedSettings, StartupError, host_name, load

CHECK = "--check"

S = TypeVar("S", bound=SharedSettings)
Run = Callable[[S, asyncio.Event], Awaitable[None]]


def main(cls: type[S], named: str, run: Run[S], check: Callable[[S], None] = lambda _settings: None) -> None:
    """Run a service until SIGTERM or SIGINT; print one sentence if it cannot start.

    With the command line argument `--check`, only the settings are checked.

    Args:
        cls: The settings.
        named: The setting with this process's name in its logs; an empty one becomes the host's name.
        run: Runs the service until the event is set.
        check: Checks settings against each other. Raises `SettingsError`.
    """
    environ = {**{k: v or "" for k, v in dotenv_values().items()}, **os.environ}
    try:
        settings: Any = load(cls, environ)
        name = getattr(settings, named) or host_name()
        settings = replace(settings, **{named: name})
        check(settings)
        if CHECK in sys.argv[1:]:
            return
        watch_collections()
        logs.configure(settings.log_level, settings.log_format, **{named.partition("_")[0]: name})
        uvloop.run(_until_signalled(settings, run))
    except StartupError as error:
        sys.exit(str(error))


async def _until_signalled(settings: S, run: Run[S]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await run(settings, stopped)
