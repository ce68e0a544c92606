"""Stop a service whose driver refuses the primary of a restored MongoDB.

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

log = structlog.get_logger()

REFUSED_SECONDS = 10.0
"""Longer than an election, during which the former primary may be refused for a moment."""
LOOK_SECONDS = 1.0


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
