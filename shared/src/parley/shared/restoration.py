"""Refuse to start while MongoDB is being restored; stop a service whose driver refuses the restored primary.

The driver takes no primary of an older election than the newest that it has seen, so that it never writes to
a primary that was replaced. A replica set that is restored to an earlier point counts its elections from
there: a running service's driver refuses its primaries, for as many elections as the restoration has undone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog

from parley.shared.cancellation import end
from parley.shared.documents import RESTORATIONS
from parley.shared.settings import StartupError

log = structlog.get_logger()

REFUSED_SECONDS = 10.0
"""Longer than an election, during which the former primary may be refused for a moment."""
LOOK_SECONDS = 1.0
UNFINISHED = "unfinished"
"""The `_id` of the mark, in `restorations`, that `parley restore` has begun and not ended."""


async def check_finished(database: Any) -> None:
    """Check that the database is not being restored: numbers given from a part of it would be given twice.

    Raises:
        StartupError: A restore has begun, and has not ended.
        PyMongoError: The database is away.
    """
    mark = await database[RESTORATIONS].find_one({"_id": UNFINISHED})
    if mark is not None:
        raise StartupError(
            f"MongoDB is being restored from {mark['backup']} since {mark['at']:%Y-%m-%d %H:%M} UTC: wait "
            "until `parley restore` ends; repeat it with --replace if it was interrupted."
        )


@asynccontextmanager
async def stop_when_restored(
    database: Any, stopped: asyncio.Event, refused_seconds: float = REFUSED_SECONDS
) -> AsyncIterator[None]:
    """Set `stopped` when the driver has refused the only primary for this long; a new process accepts it."""
    watch = asyncio.create_task(_watch(database, stopped, refused_seconds))
    try:
        yield
    finally:
        await end([watch])


async def _watch(database: Any, stopped: asyncio.Event, refused_seconds: float) -> None:
    refused = 0.0
    while refused < refused_seconds:
        await asyncio.sleep(LOOK_SECONDS)
        refused = refused + LOOK_SECONDS if refuses_primary(database) else 0.0
    log.error("shared.mongodb.primary_refused", seconds=refused)
    stopped.set()


def refuses_primary(database: Any) -> bool:
    """Return whether the driver knows no primary but one of an election older than it has seen."""
    known = database.client.topology_description
    errors = [str(server.error) for server in known.server_descriptions().values()]
    return not known.has_writable_server() and any("electionId" in error for error in errors)
