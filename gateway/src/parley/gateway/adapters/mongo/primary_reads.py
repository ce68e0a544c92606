"""Reads from MongoDB's primary by a socket of their own, as `PrimaryCommands`."""

from collections.abc import Sequence
from typing import Any

import bson
from pymongo.errors import AutoReconnect

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.adapters.mongo.primary_commands import PrimaryCommands
from parley.shared.documents import Document

AT_ONCE = 2_500
"""Documents of one reply: more would hold up all clients while they are decoded."""


class PrimaryReads:
    """A connection for reads."""

    def __init__(self, database: Any) -> None:
        self._commands = PrimaryCommands(database)
        self._concern: Document = database.read_concern.document

    def close(self) -> None:
        """Close the connection; a later read opens another."""
        self._commands.close()

    async def find(self, *commands: Document) -> list[list[Document]]:
        """Run `find` or `aggregate` commands one after the other, in one round trip; return their documents.

        As by the driver, each reads what a majority has, and a lost connection is tried once more.

        Args:
            commands: The commands; a batch size and the read concern are added.

        Raises:
            Unavailable: There is no primary, or it does not answer.
        """
        if not commands:
            return []
        with translate_errors():
            try:
                return await self._find(commands)
            except AutoReconnect:
                return await self._find(commands)

    async def _find(self, commands: Sequence[Document]) -> list[list[Document]]:
        complete = [{**command, **_batched(command), "readConcern": self._concern} for command in commands]
        answers = await self._commands.run(complete)
        cursors = [answer["cursor"] for answer in answers]
        found: list[list[Document]] = [cursor["firstBatch"] for cursor in cursors]
        while unread := [n for n, cursor in enumerate(cursors) if cursor["id"]]:
            more = [_get_more(cursors[n]["id"], next(iter(commands[n].values()))) for n in unread]
            for n, answer in zip(unread, await self._commands.run(more), strict=True):
                cursors[n] = answer["cursor"]
                found[n] += cursors[n]["nextBatch"]
        return found


def _batched(command: Document) -> Document:
    size = {"batchSize": AT_ONCE}
    return {"cursor": size} if "aggregate" in command else size


def _get_more(cursor_id: int, collection: str) -> Document:
    return {"getMore": bson.Int64(cursor_id), "collection": collection, "batchSize": AT_ONCE}
