"""The steps by which a restore replaces the contents of a database; only indexes and checks come after."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiormq.exceptions import AMQPError
from bson.raw_bson import RawBSONDocument
from pymongo import WriteConcern
from pymongo.errors import BulkWriteError

from parley.cli import layout
from parley.cli.backup import archive
from parley.cli.backup.manifest import COLLECTIONS, Manifest
from parley.cli.errors import CommandError
from parley.shared.documents import ATTEMPTS, LAYOUTS, MIGRATIONS, RESTORATIONS, REVOCATIONS
from parley.shared.layouts import Layouts, LayoutsUnavailable
from parley.shared.mongo import DUPLICATE_KEY

MAJORITY = WriteConcern("majority", j=True)
"""Without a time limit: a secondary may be behind while much is written."""
FEW = (LAYOUTS, MIGRATIONS)
"""Collections in which services write at their first start, when nothing else is stored."""
KEPT = (REVOCATIONS, LAYOUTS)
"""Collections whose documents stay: a token that was revoked after the backup must stay revoked, and the
number of partitions is that of the system's own RabbitMQ, which is not restored."""

Advance = Callable[[int], None]


async def held(database: Any) -> int:
    """Return about how many documents a database holds that a restore would replace."""
    counts = [await database[name].estimated_document_count() for name in COLLECTIONS if name not in FEW]
    return sum(counts)


async def clear(database: Any) -> None:
    """Drop all collections of Parley except those that are kept."""
    for name in (*COLLECTIONS, ATTEMPTS):
        if name not in KEPT:
            await database.get_collection(name, write_concern=MAJORITY).drop()


async def load(database: Any, path: Path, contents: Manifest, advance: Advance) -> None:
    """Write the documents of a checked archive.

    Raises:
        CommandError: The archive has a collection that this version does not know.
    """
    unknown = contents.by_collection.keys() - set(COLLECTIONS)
    if unknown:
        raise CommandError(f"{path} has collections that are none of Parley's: {', '.join(sorted(unknown))}.")
    parts = archive.read(path, contents)
    while (found := await asyncio.to_thread(next, parts, None)) is not None:
        part, data = found
        await _insert(database.get_collection(part.collection, write_concern=MAJORITY), data)
        advance(part.documents)


async def _insert(collection: Any, data: bytes) -> None:
    documents = [RawBSONDocument(document) for document in archive.split(data)]
    try:
        await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        # Nothing but a document of these can be there already.
        codes = {each.get("code") for each in error.details.get("writeErrors") or ()}
        if collection.name not in KEPT or codes != {DUPLICATE_KEY}:
            raise


async def prefer_broker_partitions(database: Any, rabbitmq_url: str) -> None:
    """Remove a stored number of partitions that RabbitMQ's queues are not for: services take RabbitMQ's.

    It came with the backup of another system. While RabbitMQ is away it stays: a service that finds the
    difference at its start says so.
    """
    try:
        stored = await Layouts(database).read()
    except LayoutsUnavailable as error:
        raise error.__cause__ or OSError(str(error)) from error
    if stored is None:
        return
    with suppress(AMQPError, OSError):
        if stored.is_refused_by(await layout.in_broker(rabbitmq_url, stored.current)):
            await database.get_collection(LAYOUTS, write_concern=MAJORITY).drop()


class Mark:
    """The mark, in the database, that a restore has begun and not ended: services refuse to start with it."""

    def __init__(self, database: Any) -> None:
        self._marks = database.get_collection(RESTORATIONS, write_concern=MAJORITY)

    async def is_set(self) -> bool:
        """Return whether an earlier restore has not ended."""
        return await self._marks.find_one({}) is not None

    async def set(self, document: dict[str, Any]) -> None:
        """Set the mark."""
        await self._marks.replace_one({"_id": document["_id"]}, document, upsert=True)

    async def remove(self) -> None:
        """Remove the mark: the data are complete."""
        await self._marks.drop()
