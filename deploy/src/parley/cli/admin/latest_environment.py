"""The servers and the present addresses of gateways and workers, which change while the page is open."""

import asyncio
from collections.abc import Callable
from time import monotonic

from parley.cli.environment import Environment

FRESH_SECONDS = 1.0


class LatestEnvironment:
    """Finds the environment anew once a second at most, and only when it is asked for.

    Args:
        find: Returns the environment; may block, as a name in DNS takes its time.
    """

    def __init__(self, find: Callable[[], Environment]) -> None:
        self._find = find
        self._found: Environment | None = None
        self._found_at = 0.0
        self._finding = asyncio.Lock()

    async def get(self) -> Environment:
        """Return the environment.

        Raises:
            CommandError: A setting is invalid.
        """
        async with self._finding:
            if self._found is None or monotonic() - self._found_at > FRESH_SECONDS:
                self._found = await asyncio.to_thread(self._find)
                self._found_at = monotonic()
            return self._found
