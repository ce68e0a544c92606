"""MongoDB: connect, ping, and tell an outage from a faulty request. The only module that imports Motor.

Concerns are set on the database object, where no connection string can weaken them: a write is acknowledged
once a majority of the replica set has journaled it, and a read returns only what a majority has.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from motor.motor_asyncio import AsyncIOMotorDatabase as Database
from pymongo import ReadPreference, WriteConcern
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern

from parley.shared import daemon_threads
from parley.shared.cancellation import within
from parley.shared.mongo_times import CommandTimes

__all__ = ["DUPLICATE_KEY", "Database", "answers", "connect", "is_outage", "service_name", "translate_errors"]

OPTIONS: dict[str, Any] = {
    "tz_aware": True,
    "serverSelectionTimeoutMS": 2_000,
    "socketTimeoutMS": 5_000,
    "connectTimeoutMS": 2_000,
}
DURABLE: dict[str, Any] = {
    # Less than the socket's time-out, so that the server answers that it gave up, and stops waiting.
    "write_concern": WriteConcern("majority", wtimeout=4_000, j=True),
    "read_concern": ReadConcern("majority"),
    "read_preference": ReadPreference.PRIMARY,
}
DATABASE = "parley"
"""The database if the URL names none."""
SERVICE = "parley "
NAME_BYTES = 128
PING_SECONDS = CLOSE_SECONDS = 1.0
DUPLICATE_KEY = 11000
BAD_VALUE, TYPE_MISMATCH, INVALID, TOO_LARGE = 2, 14, 121, 10334
FAULTY_REQUEST = {DUPLICATE_KEY, BAD_VALUE, TYPE_MISMATCH, INVALID, TOO_LARGE}
"""Server error codes that a repetition of the same request gets again."""


@asynccontextmanager
async def connect(url: str, *, service: str = "", **options: Any) -> AsyncIterator[Any]:
    """Open the database that `url` names, `parley` if it names none.

    Each call answers or fails within seconds. Write concern, read concern and read preference are those
    of `DURABLE`, whatever the URL says.

    Args:
        url: A MongoDB connection string.
        service: The name of the service, which MongoDB then lists with its connections.
        options: Further options of the driver's client, or others in place of these.
    """
    named = {"appname": service_name(url, service)} if service else {}
    client: Any = AsyncIOMotorClient(
        url, **{**OPTIONS, "event_listeners": [CommandTimes()], **named, **options}
    )
    try:
        yield client.get_default_database(DATABASE, **DURABLE)
    finally:
        # It tells the server that its sessions end; one that hangs does not answer.
        with suppress(TimeoutError):
            await within(CLOSE_SECONDS, daemon_threads.run(client.close))


def service_name(url: str, service: str) -> str:
    """Return the name by which a service tells MongoDB who it is, and which database it works on."""
    database = url.partition("://")[2].partition("?")[0].partition("/")[2] or DATABASE
    return f"{SERVICE}{database} {service}".encode()[:NAME_BYTES].decode(errors="ignore")


async def answers(database: Any) -> bool:
    """Return whether the server answers a ping within a second."""
    try:
        await asyncio.wait_for(database.command("ping"), PING_SECONDS)
    except (PyMongoError, TimeoutError):
        return False
    return True


@contextmanager
def translate_errors(unavailable: Callable[[PyMongoError], Exception]) -> Iterator[None]:
    """Raise `unavailable(error)` for an outage of the server; pass on what is the request's own fault."""
    try:
        yield
    except PyMongoError as error:
        if is_outage(error):
            raise unavailable(error) from error
        raise


def is_outage(error: PyMongoError) -> bool:
    """Return whether the same request may succeed later: also for a full disk, say."""
    if isinstance(error, BulkWriteError):
        # Beside a duplicate, other documents may have failed, or been written but reached no majority yet.
        codes = {e.get("code") for e in error.details.get("writeErrors") or ()}
        return bool(error.details.get("writeConcernErrors")) or not codes or not codes <= FAULTY_REQUEST
    return getattr(error, "code", None) not in FAULTY_REQUEST
