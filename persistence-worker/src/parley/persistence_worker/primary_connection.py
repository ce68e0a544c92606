"""One connection to MongoDB's primary, on which the commands of a batch run one after the other.

A batch keeps to one connection, so that its last write vouches for the earlier ones. A command that another
server would take fails, instead of being sent there. A server that rolls writes back closes its clients'
connections first. So as long as the connection lasts, all that was written on it is in the server's history,
whichever elections took place: a later write is stored on top of it, or not at all.
"""

import uuid
from collections.abc import Sequence
from typing import Any

import bson
from bson.binary import UUID_SUBTYPE
from pymongo.errors import AutoReconnect, OperationFailure

from parley.shared.documents import Document
from parley.shared.mongo_socket import MongoSocket, encode, open_socket, publish_command, raise_for

Command = tuple[Document, str, Sequence[Document]]
"""A command without its database, the field of its documents, and these."""

TRANSACTION_BYTES = 1 << 15
"""Bytes of a transaction, at most: few enough for a socket's buffer, so that a killed worker has sent all or
nothing. A server that has only a part of a transaction keeps its documents locked for a minute."""
BATCH_SIZE = 10_000
"""Documents that the server returns at once, if they are not too large."""


class PrimaryConnection:
    """A connection to the primary, which `begin` opens, and opens again after an error."""

    def __init__(self, database: Any) -> None:
        self.database = database
        self._socket: MongoSocket | None = None
        self._address: Any = None
        self._has_failed = False
        self._session: Document = {}
        self._transactions = 0

    async def begin(self) -> None:
        """Begin a batch: connect to the present primary, unless the connection is to it already.

        Raises:
            PyMongoError: There is no primary.
        """
        # The driver knows no primary of a server without a replica set, and for a moment during an election.
        primary = self.database.client.primary or self._address
        if self._socket is not None and (self._address != primary or self._socket.error is not None):
            self.close()
        self._has_failed = False
        if self._socket is None:
            await self._open()

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def command(
        self, command: Document, name: str = "", documents: Sequence[Document] = ()
    ) -> Document:
        """Run a command, and return its answer, which may contain `writeErrors` or a `writeConcernError`.

        Args:
            command: The command, without its database.
            name: The field that the documents belong to, if there are any: `documents` or `updates`.
            documents: Documents, which together may be larger than one document.

        Raises:
            PyMongoError: The server has refused the command; or the connection was lost, or another server is
                primary now: the batch must begin again.
        """
        if self._has_failed:
            raise AutoReconnect("the batch's connection to the primary was lost")
        if self._socket is None:
            await self._open()
        assert self._socket is not None
        message = encode({**command, "$db": self.database.name}, name, documents)
        shown = {**command, name: documents} if documents else command
        publish = publish_command(self.database, shown, self._address)
        try:
            answer: Document = bson.decode(await self._socket.ask(message), self.database.codec_options)
            publish(answer)
            raise_for(answer)
        except OperationFailure:
            raise
        except BaseException:
            self._has_failed = True
            self.close()
            raise
        return answer

    async def transaction(self, commands: Sequence[Command], concern: Document) -> Document | None:
        """Run commands as one transaction, in one round trip.

        Once one of them fails, the server has undone those before it, and refuses those behind it. Only the
        commit is answered: a server that cannot deliver an answer, because the worker was killed, reads no
        further, and would keep the documents of the transaction locked for a minute.

        Args:
            commands: Commands that write.
            concern: The write concern of the transaction.

        Returns:
            The answer to the commit; None if the commands are too large, and not sent.

        Raises:
            PyMongoError: The connection was lost; the transaction may be stored.
        """
        assert self._socket is not None
        self._transactions += 1
        part = {
            "lsid": self._session,
            "txnNumber": bson.Int64(self._transactions),
            "autocommit": False,
            "$db": self.database.name,
        }
        end = {"commitTransaction": 1, **part, "$db": "admin", "writeConcern": concern}
        begun: list[Document] = [{**command, **part} for command, _, _ in commands]
        begun[0]["startTransaction"] = True
        writes = [
            encode(each, name, of, answered=False)
            for each, (_, name, of) in zip(begun, commands, strict=True)
        ]
        message = b"".join((*writes, encode(end)))
        if len(message) > TRANSACTION_BYTES:
            return None
        publish = publish_command(self.database, end, self._address)
        try:
            answer: Document = bson.decode(await self._socket.ask(message), self.database.codec_options)
        except BaseException:
            self._has_failed = True
            self.close()
            raise
        publish(answer)
        return answer

    async def find(
        self, collection: str, query: Document, level: str = "local", **more: Any
    ) -> list[Document]:
        """Return the documents that match a query.

        Args:
            collection: The name of the collection.
            query: The query.
            level: The read concern. `local` reads the primary's newest data, which no majority need have yet.
            more: Further fields of the `find` command.
        """
        command = {"find": collection, "filter": query, "batchSize": BATCH_SIZE, **more}
        return await self._documents(collection, command, level)

    async def aggregate(self, collection: str, pipeline: Sequence[Document]) -> list[Document]:
        """Return the documents of an aggregation of the primary's newest data."""
        command = {"aggregate": collection, "pipeline": pipeline, "cursor": {"batchSize": BATCH_SIZE}}
        return await self._documents(collection, command, "local")

    async def _documents(self, collection: str, command: Document, level: str) -> list[Document]:
        cursor = (await self.command({**command, "readConcern": {"level": level}}))["cursor"]
        documents: list[Document] = cursor["firstBatch"]
        while cursor["id"]:
            more = {"getMore": bson.Int64(cursor["id"]), "collection": collection}
            cursor = (await self.command(more))["cursor"]
            documents += cursor["nextBatch"]
        return documents

    async def _open(self) -> None:
        self._socket = await open_socket(self.database)
        self._session = {"id": bson.Binary(uuid.uuid4().bytes, UUID_SUBTYPE)}
        self._address = self._socket.address
