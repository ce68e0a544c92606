"""Reads from MongoDB's primary by a socket of their own, without the driver's threads and layers.

A call by Motor takes 330 us of a gateway's processor time, one of these 60, and its threads hold up the event
loop. They are for the data that each client needs; rare, large and slow reads take Motor.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import bson
from pymongo.errors import AutoReconnect

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.shared.documents import Document
from parley.shared.mongo_socket import MongoSocket, encode, open_socket, publish_command, raise_for

AT_ONCE = 1_000
"""Documents of one reply: more would hold up all clients while they are decoded."""
CHECK_SECONDS = 0.1
"""How often the driver is asked which server is the primary: that takes as long as to decode an answer."""


class PrimaryReads:
    """A connection for reads, which is opened when it is needed, and again after an error.

    The server answers in order, so that a reader of thousands of documents holds up those behind it.
    """

    def __init__(self, database: Any) -> None:
        self._database = database
        self._concern: Document = database.read_concern.document
        self._socket: MongoSocket | None = None
        self._opening = asyncio.Lock()
        self._checked_at = 0.0

    def close(self) -> None:
        """Close the connection; a later read opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def find(self, *commands: Document) -> list[list[Document]]:
        """Run `find` commands one after the other, in one round trip; return the documents of each.

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
        concern = {"batchSize": AT_ONCE, "readConcern": self._concern}
        answers = await self._run([{**command, **concern} for command in commands])
        return [
            await self._rest(command["find"], answer["cursor"])
            for command, answer in zip(commands, answers, strict=True)
        ]

    async def _rest(self, collection: str, cursor: Document) -> list[Document]:
        documents: list[Document] = cursor.get("firstBatch", [])
        while cursor["id"]:
            more = {"getMore": bson.Int64(cursor["id"]), "collection": collection, "batchSize": AT_ONCE}
            (answer,) = await self._run([more])
            cursor = answer["cursor"]
            documents += cursor["nextBatch"]
        return documents

    async def _run(self, commands: Sequence[Document]) -> list[Document]:
        database, connection = self._database, await self._connection()
        answered = [publish_command(database, command, connection.address) for command in commands]
        messages = [encode({**command, "$db": database.name}) for command in commands]
        answers = []
        for body, publish in zip(await connection.ask_all(messages), answered, strict=True):
            answer: Document = bson.decode(body, database.codec_options)
            publish(answer)
            raise_for(answer)
            answers.append(answer)
        return answers

    async def _connection(self) -> MongoSocket:
        """Return the connection to the present primary. The others who wait on a former one try again."""
        if self._socket is not None and (self._socket.error or self._is_former(self._socket)):
            self.close()
        if self._socket is None:
            async with self._opening:
                if self._socket is None:
                    self._socket = await open_socket(self._database)
        return self._socket

    def _is_former(self, connection: MongoSocket) -> bool:
        """Return whether another server is the primary, as far as the driver knows: asked now and then."""
        now = asyncio.get_running_loop().time()
        if now < self._checked_at + CHECK_SECONDS:
            return False
        self._checked_at = now
        return self._database.client.primary not in (None, connection.address)
