"""Bring the database to what this version needs; both services do so when they start.

An index whose definition has changed is built beside its predecessor, under another name. Services of the
previous version go on using the predecessor, and find it when they restart during the upgrade. It is
dropped a week later. The collection `migrations` records each change with its time.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

import structlog
from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from parley.shared.documents import MIGRATIONS
from parley.shared.indexes import INDEXES
from parley.shared.model import now
from parley.shared.mongo import is_outage
from parley.shared.restoration import check_finished
from parley.shared.settings import StartupError

log = structlog.get_logger()

RETRY_SECONDS = 0.5
RETIREMENT = timedelta(days=7)
"""How long a superseded index is kept for services of the previous version."""
OPTIONS = ("unique", "sparse", "partialFilterExpression", "expireAfterSeconds")
INDEX_NOT_FOUND = 27
CONFLICTS = (85, 86)
"""Server error codes: another index has these keys, or this name, and cannot stand beside the new one."""


@dataclass(frozen=True, slots=True)
class Definition:
    """Return the parts of a definition that decide whether two indexes are the same."""

    keys: tuple[tuple[str, int], ...]
    options: dict[str, Any]

    @classmethod
    def of(cls, keys: Any, document: Any) -> "Definition":
        """Read a definition from what the server, or the driver, holds of an index."""
        return cls(tuple(keys), {name: document[name] for name in OPTIONS if document.get(name) is not None})

    @property
    def fingerprint(self) -> str:
        return sha256(repr((self.keys, sorted(self.options.items()))).encode()).hexdigest()[:8]

    def named(self, name: str) -> IndexModel:
        return IndexModel(list(self.keys), name=name, **self.options)


async def prepare(database: Any, stopped: asyncio.Event) -> None:
    """Migrate the database; wait for one that is away until `stopped`.

    Raises:
        StartupError: An index cannot be built, or the database is being restored.
    """
    while not stopped.is_set():
        try:
            await check_finished(database)
            await migrate(database)
            return
        except PyMongoError as error:
            if not is_outage(error):
                raise
            log.warning("shared.migrations.database_away", error=str(error)[:200])
            await asyncio.sleep(RETRY_SECONDS)


async def migrate(database: Any, indexes: dict[str, list[IndexModel]] = INDEXES) -> None:
    """Build the indexes that are missing or have changed. A repetition changes nothing.

    Raises:
        StartupError: An index cannot be built.
        PyMongoError: The database is away.
    """
    for collection, wanted in indexes.items():
        information = await database[collection].index_information()
        found = {name: Definition.of(index["key"], index) for name, index in information.items()}
        for index in wanted:
            definition = Definition.of(index.document["key"].items(), index.document)
            await _ensure(database, collection, index.document["name"], definition, found)


async def _ensure(
    database: Any, collection: str, name: str, wanted: Definition, found: dict[str, Definition]
) -> None:
    built = next((n for n in found if found[n] == wanted), None)
    if built is None:
        built = name if name not in found else f"{name}_{wanted.fingerprint}"
        await _build(database[collection], name, wanted, built)
    if built != name and name in found:
        await _retire(database, collection, name, built)


async def _build(collection: Any, name: str, wanted: Definition, built: str) -> None:
    try:
        await collection.create_indexes([wanted.named(built)])
    except DuplicateKeyError as error:
        raise StartupError(
            f"The unique index {name} of {collection.name} cannot be built: documents have the same "
            f"{', '.join(key for key, _ in wanted.keys)}. Remove the duplicates, then start again."
        ) from error
    except OperationFailure as error:
        if error.code not in CONFLICTS:
            raise
        await _replace(collection, name, wanted, built)
    if built != name:
        log.info("shared.migrations.index_changed", collection=collection.name, index=name, now=built)


async def _replace(collection: Any, name: str, wanted: Definition, built: str) -> None:
    """Build an index that cannot stand beside its predecessor.

    A unique one is not replaced: messages stored between drop and build could get the same number.
    """
    try:
        if wanted.options.get("unique"):
            raise OperationFailure("a unique index is not dropped while services run")
        await _drop(collection, name)
        await collection.create_indexes([wanted.named(built)])
    except OperationFailure as error:
        raise StartupError(
            f"The index {name} of {collection.name} cannot be built beside another with the same keys. "
            "Stop all services, drop that one, then start again."
        ) from error


async def _retire(database: Any, collection: str, name: str, built: str) -> None:
    """Record that an index is superseded, or drop it when it has been for a week."""
    step = {"_id": f"{collection}.{name} -> {built}"}
    # Two services that start at once may both insert it.
    with suppress(DuplicateKeyError):
        await database[MIGRATIONS].update_one(step, {"$setOnInsert": {"at": now()}}, upsert=True)
    record = await database[MIGRATIONS].find_one(step)
    if record is not None and now() - record["at"] > RETIREMENT:
        await _drop(database[collection], name)
        log.info("shared.migrations.index_retired", collection=collection, index=name, now=built)


async def _drop(collection: Any, name: str) -> None:
    try:
        await collection.drop_index(name)
    except OperationFailure as error:
        if error.code != INDEX_NOT_FOUND:
            raise
