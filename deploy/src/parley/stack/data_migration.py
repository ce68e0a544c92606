"""Copy the data of version 0.2.0 or older, in SQLite files, to MongoDB: once, before services start.

The folder of the files is renamed twice: when MongoDB starts for the first time, and when all is copied. Its
files are never changed, so an attempt that fails, or is interrupted, is repeated by the next `make up`.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from pymongo import MongoClient, WriteConcern
from pymongo.errors import BulkWriteError, PyMongoError

from parley.stack.errors import StackError
from parley.stack.sqlite_documents import CHUNKS, Document, SqliteDocuments

Report = Callable[[str], None]

DATABASE = "parley"
FILE = "parley.db"
STEP = "copy the data of the SQLite server"
"""The id of the record, in the collection `migrations`, that all is copied."""

BATCH, BATCH_OF_CHUNKS = 1_000, 50
"""Documents, and chunks of up to 255 KiB, that one request inserts."""
DUPLICATE_KEY = 11000


def waiting_folder(directory: Path) -> Path:
    """Return where the files lie until they are copied, beside MongoDB's own `directory`."""
    return directory.with_name(f"{directory.name}-sqlite")


def set_aside(directory: Path) -> None:
    """Move SQLite files away from the directory that MongoDB is about to use.

    Raises:
        StackError: Other files are waiting to be copied.
    """
    if not (directory / FILE).exists():
        return
    waiting = waiting_folder(directory)
    if waiting.exists():
        raise StackError(
            f"{directory} and {waiting} both hold data of version 0.2.0 or older: move one of them away."
        )
    directory.rename(waiting)
    directory.mkdir(mode=0o700)


def copy_waiting_data(directory: Path, address: str, report: Report) -> None:
    """Copy the files that wait beside MongoDB's directory, if any, to the server at `address`.

    Raises:
        StackError: The files cannot be read, or the server cannot be written to. Nothing is lost.
    """
    waiting = waiting_folder(directory)
    if not waiting.exists():
        return
    client: MongoClient[Document] = MongoClient(f"mongodb://{address}/?directConnection=true", tz_aware=True)
    try:
        with client:
            migrate(waiting / FILE, client[DATABASE], report)
    except (sqlite3.Error, PyMongoError, ValueError, KeyError, TypeError) as error:
        raise StackError(
            f"The data of version 0.2.0 or older in {waiting} could not be copied ({error}); it is "
            "unchanged. Run `make up` to try again, or move the folder away to start without this data."
        ) from error
    kept = waiting.with_name(f"{waiting.name}-copied-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    waiting.rename(kept)
    report(f"the former files of MongoDB are kept in {kept}")


def migrate(file: Path, database: Any, report: Report) -> None:
    """Copy all documents of a SQLite file to a database of MongoDB, unless it was done before."""
    migrations = database.get_collection("migrations", write_concern=WriteConcern(w="majority", j=True))
    if migrations.find_one({"_id": STEP}):
        return
    with closing(SqliteDocuments(file)) as documents:
        for collection in documents.collections():
            count = _copy(documents.documents(collection), database[collection])
            if count:
                report(f"copied {count:,} documents of {collection} from SQLite to MongoDB")
    # A majority that has this record has all writes before it.
    migrations.insert_one({"_id": STEP, "at": datetime.now(UTC)})


def _copy(documents: Iterable[Document], collection: Any) -> int:
    count = 0
    for batch in _batches(documents, BATCH_OF_CHUNKS if collection.name == CHUNKS else BATCH):
        _insert(batch, collection)
        count += len(batch)
    return count


def _insert(batch: list[Document], collection: Any) -> None:
    """Insert documents, except those that an attempt before has inserted."""
    try:
        collection.insert_many(batch, ordered=False)
    except BulkWriteError as error:
        if any(each["code"] != DUPLICATE_KEY for each in error.details["writeErrors"]):
            raise


def _batches(documents: Iterable[Document], size: int) -> Iterator[list[Document]]:
    remaining = iter(documents)
    while batch := list(islice(remaining, size)):
        yield batch
