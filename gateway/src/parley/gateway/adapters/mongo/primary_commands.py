"""Commands to MongoDB's primary by a socket of their own, without the driver's threads and layers.

A call by Motor takes 330 us of a gateway's processor time, one of these 60, and its threads hold up the event
loop. They are for what each client needs; rare, large and slow calls take Motor.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import bson

from parley.shared.documents import Document
from parley.shared.mongo_socket import MongoSocket, encode, open_socket, publish_command, raise_for

CHECK_SECONDS = 0.1
"""How often the driver is asked which server is the primary: that takes as long as to decode an answer."""


class PrimaryCommands:
    """A connection to the primary, which is opened when it is needed, and again after an error.

    The server answers in order, so that a caller of a slow command holds up those behind it.
    """

    def __init__(self, database: Any) -> None:
        self._database = database
        self._socket: MongoSocket | None = None
        self._opening = asyncio.Lock()
        self._checked_at = 0.0

    def close(self) -> None:
        """Close the connection; a later command opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def run(self, commands: Sequence[Document]) -> list[Document]:
        """Run commands one after the other, in one round trip; return their answers.

        Raises:
            PyMongoError: The server refuses one, or there is no primary, or it does not answer.
        """
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
