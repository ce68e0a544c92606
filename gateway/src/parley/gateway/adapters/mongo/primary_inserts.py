"""Inserts at MongoDB's primary by a socket of their own, as `PrimaryCommands`."""

from collections.abc import Sequence
from typing import Any

from pymongo.errors import AutoReconnect, BulkWriteError

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.gateway.adapters.mongo.primary_commands import PrimaryCommands
from parley.shared.documents import Document
from parley.shared.mongo import DUPLICATE_KEY


class PrimaryInserts:
    """A connection for inserts, which wait for a majority: reads by the same one would wait, too."""

    def __init__(self, database: Any) -> None:
        self._commands = PrimaryCommands(database)
        self._concern: Document = database.write_concern.document

    def close(self) -> None:
        """Close the connection; a later insert opens another."""
        self._commands.close()

    async def insert_missing(self, collection: str, documents: Sequence[Document]) -> set[Any]:
        """Insert the documents whose ids are free; return these ids.

        When it returns, a majority has all of them, as with `inserts.insert_missing`. An insert whose
        connection is lost is tried once more: if the first attempt wrote a document, it is not returned.

        Args:
            collection: The name of the collection.
            documents: The documents, which are to fit into one command.

        Raises:
            Unavailable: MongoDB is away, or no majority has all of them yet.
        """
        insert = {
            "insert": collection,
            "documents": documents,
            "ordered": False,
            "writeConcern": self._concern,
        }
        with translate_errors():
            try:
                (answer,) = await self._commands.run([insert])
            except AutoReconnect:
                (answer,) = await self._commands.run([insert])
            failed = {each["index"] for each in _duplicates(answer)}
        return {document["_id"] for n, document in enumerate(documents) if n not in failed}


def _duplicates(answer: Document) -> Sequence[Document]:
    """Return the errors of an insert, if they are nothing but duplicates.

    Raises:
        BulkWriteError: There are others, as the driver reports them.
    """
    errors: Sequence[Document] = answer.get("writeErrors", ())
    concern = answer.get("writeConcernError")
    if concern is not None or any(each["code"] != DUPLICATE_KEY for each in errors):
        reported = [] if concern is None else [concern]
        raise BulkWriteError({"writeErrors": list(errors), "writeConcernErrors": reported})
    return errors
