"""Bring the database to what this version needs; both services do so when they start."""

import asyncio
from typing import Any

import structlog
from pymongo.errors import PyMongoError

from parley.shared.indexes import INDEXES
from parley.shared.mongo import is_outage

log = structlog.get_logger()

RETRY_SECONDS = 0.5


async def prepare(database: Any, stopped: asyncio.Event) -> None:
    """Migrate the database; wait for one that is away until `stopped`."""
    while not stopped.is_set():
        try:
            await migrate(database)
            return
        except PyMongoError as error:
            if not is_outage(error):
                raise
            log.warning("shared.database.waiting", error=str(error)[:200])
            await asyncio.sleep(RETRY_SECONDS)


async def migrate(database: Any) -> None:
    """Create every index that is missing; a repetition changes nothing."""
    for collection, indexes in INDEXES.items():
        await database[collection].create_indexes(indexes)
