"""Reload settings on SIGHUP: files that `NAME_FILE` variables name, and `.env`, are read again.

The environment of a process never changes, so a setting that stands in it is reloaded only from a file.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Collection
from dataclasses import fields, replace
from typing import Any, Generic, TypeVar

import structlog

from parley.shared.settings import SharedSettings, StartupError

log = structlog.get_logger()

S = TypeVar("S", bound=SharedSettings)


class ReloadRefused(Exception):
    """New values were not taken, and the former ones stay; the text is one sentence that says why."""


class Reloads(Generic[S]):
    """The settings that may change while a service runs.

    Args:
        settings: The settings that the service has started with.
        read: Reads and checks all settings anew. Raises `StartupError`.
    """

    def __init__(self, settings: S, read: Callable[[], S]) -> None:
        self._settings = settings
        self._read = read
        self._appliers: list[tuple[frozenset[str], Callable[[S], Awaitable[None]]]] = []
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def on_reload(self, names: Collection[str], apply: Callable[[S], Awaitable[None]]) -> None:
        """Have a function apply these settings at each reload, also if they are the same.

        Args:
            names: The names of the settings.
            apply: Takes all settings. Raises `ReloadRefused` and changes nothing if it cannot apply them.
        """
        self._appliers.append((frozenset(names), apply))

    def listen(self) -> None:
        """Reload at each SIGHUP from now on."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._spawn)

    async def reload(self) -> None:
        """Read the settings and apply those that may change; an invalid one leaves all as they are."""
        async with self._lock:
            try:
                wanted = self._read()
            except StartupError as error:
                log.error("shared.settings.reload_refused", reason=str(error))
                return
            changed = {f.name for f in fields(wanted) if getattr(wanted, f.name) != self._value(f.name)}
            applied = await self._apply(wanted)
            self._settings = replace(self._settings, **{name: getattr(wanted, name) for name in applied})
            # Names only: the values may be secrets.
            log.info("shared.settings.reloaded", changed=_variables(changed & applied))
            fixed = changed - {name for names, _ in self._appliers for name in names}
            if fixed:
                log.warning("shared.settings.restart_needed", settings=_variables(fixed))

    async def _apply(self, wanted: S) -> set[str]:
        """Return the names of the settings that were applied."""
        applied: set[str] = set()
        for names, apply in self._appliers:
            try:
                await apply(wanted)
                applied |= names
            except ReloadRefused as error:
                log.error("shared.settings.reload_refused", reason=str(error))
        return applied

    def _value(self, name: str) -> Any:
        return getattr(self._settings, name)

    def _spawn(self) -> None:
        task = asyncio.create_task(self.reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _variables(names: Collection[str]) -> list[str]:
    return sorted(name.upper() for name in names)
