"""Reads of many documents of one user: the server works on their parts at the same time."""

import asyncio
from collections.abc import Sequence
from itertools import cycle
from typing import Any, TypeVar

from parley.gateway.adapters.mongo.primary_reads import PrimaryReads
from parley.shared.documents import Document

T = TypeVar("T")

CONNECTIONS = 2


class ParallelReads:
    """Reads from MongoDB's primary by some connections, as `PrimaryReads` does by one."""

    def __init__(self, database: Any) -> None:
        self._connections = [PrimaryReads(database) for _ in range(CONNECTIONS)]
        self._turns = cycle(self._connections)

    def close(self) -> None:
        """Close the connections; a later read opens others."""
        for each in self._connections:
            each.close()

    def next(self) -> PrimaryReads:
        """Return the connections in turn, for commands that must be answered in their order."""
        return next(self._turns)

    async def find(self, *commands: Document) -> list[list[Document]]:
        """Run commands at the same time; return the documents of each. Raises as `PrimaryReads.find`."""
        answers = await asyncio.gather(*(self.next().find(command) for command in commands))
        return [documents for (documents,) in answers]


def parts(values: Sequence[T]) -> list[Sequence[T]]:
    """Return values in as many parts of the same size as can be read at the same time."""
    size = -(-len(values) // CONNECTIONS)
    return [values[start : start + size] for start in range(0, len(values), size)] if values else []
