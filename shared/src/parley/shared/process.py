"""A service, or a command of one, as a process: settings from the environment, logs, signals."""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import uvloop
from dotenv import dotenv_values

from parley.shared import logs
from parley.shared.collection_times import watch_collections
from parley.shared.reloading import Reloads
from parley.shared.settings import SharedSettings, StartupError, host_name, load

CHECK = "--check"

S = TypeVar("S", bound=SharedSettings)
Check = Callable[[S], None]
Run = Callable[[S, asyncio.Event], Awaitable[None]]
Serve = Callable[[S, asyncio.Event, Reloads[S]], Awaitable[None]]


def serve(cls: type[S], named: str, run: Serve[S], check: Check[S] = lambda _settings: None) -> None:
    """Run a service until SIGTERM or SIGINT, as `main`; at SIGHUP it reloads the settings that may change.

    Args:
        cls: As for `main`.
        named: As for `main`.
        run: Runs until the event is set; adds to the reloads what else it can change than the log level.
        check: As for `main`.
    """
    # A signal before the handler is there would end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    read = partial(_read, cls, named, check)

    async def run_reloading(settings: S, stopped: asyncio.Event) -> None:
        reloads = Reloads(settings, read)
        reloads.on_reload({"log_level"}, _apply_log_level)
        reloads.listen()
        await run(settings, stopped, reloads)

    _start(read, named, run_reloading)


def main(cls: type[S], named: str, run: Run[S], check: Check[S] = lambda _settings: None) -> None:
    """Run a command until it is done, or SIGTERM or SIGINT; print one sentence if it cannot start.

    With the command line argument `--check`, only the settings are checked.

    Args:
        cls: The settings.
        named: The setting with this process's name in its logs; an empty one becomes the host's name.
        run: Runs until the event is set.
        check: Checks settings against each other. Raises `SettingsError`.
    """
    _start(partial(_read, cls, named, check), named, run)


def _start(read: Callable[[], S], named: str, run: Run[S]) -> None:
    try:
        settings = read()
        if CHECK in sys.argv[1:]:
            return
        raise_open_files()
        watch_collections()
        name = getattr(settings, named)
        logs.configure(settings.log_level, settings.log_format, **{named.partition("_")[0]: name})
        uvloop.run(_until_signalled(settings, run))
    except StartupError as error:
        sys.exit(str(error))


def _read(cls: type[S], named: str, check: Check[S]) -> S:
    environ = {**{k: v or "" for k, v in dotenv_values().items()}, **os.environ}
    found: Any = load(cls, environ)
    settings: S = replace(found, **{named: getattr(found, named) or host_name()})
    check(settings)
    return settings


def raise_open_files() -> None:
    """Let this process open as many files, and so sockets, as it may.

    Container engines give a process 1,024 at first, and allow it more.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _until_signalled(settings: S, run: Run[S]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await run(settings, stopped)


async def _apply_log_level(settings: SharedSettings) -> None:
    logs.set_level(settings.log_level)
