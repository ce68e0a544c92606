"""The dead letters as they were last read, without what users wrote."""

import asyncio
from collections import deque
from time import monotonic, time
from typing import Any

from parley.cli.dead_letters.letter import Letter
from parley.cli.dead_letters.queue import open_letters
from parley.cli.environment import Environment
from parley.cli.errors import CommandError

SHOWN = 200
MOST = 5_000
"""More letters than that are for the command, which shows each as it reads it."""
FRESH_SECONDS = 10.0

Fields = dict[str, Any]


class LettersReader:
    """Reads the queue only when somebody asks for it.

    AMQP has no look without taking, and versions of RabbitMQ drop a letter that was given back too often. So
    all administrators who ask within ten seconds get the same answer.
    """

    def __init__(self) -> None:
        self._reading = asyncio.Lock()
        self._found: Fields = {}
        self._read_at = float("-inf")

    async def read(self, env: Environment) -> Fields:
        """Return the newest letters, the newest first.

        Raises:
            CommandError: RabbitMQ is away, another command reads the letters, or there are too many.
        """
        async with self._reading:
            if monotonic() - self._read_at > FRESH_SECONDS:
                self._found = await _read(env)
                self._read_at = monotonic()
            return self._found


async def _read(env: Environment) -> Fields:
    newest: deque[Letter] = deque(maxlen=SHOWN)
    async with open_letters(env.settings.rabbitmq_url) as letters:
        if letters.count > MOST:
            raise CommandError(
                f"{letters.count:,} dead letters are too many for this page: see `parley dead-letters list`."
            )
        async for letter in letters:
            newest.append(letter)
    shown = [letter.details(content=False) for letter in reversed(newest)]
    return {"count": letters.count, "readAt": time(), "letters": shown}
