"""MongoDB: connect, ping, and tell an outage from a faulty request. The only module that imports Motor."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from motor.motor_asyncio import AsyncIOMotorDatabase as Database
from pymongo.errors import BulkWriteError, PyMongoError

__all__ = ["DUPLICATE_KEY", "Database", "answers", "connect", "is_outage", "translate_errors"]

OPTIONS: dict[str, Any] = {
    "tz_aware": True,
    "w": "majority",
    "journal": True,
    "serverSelectionTimeoutMS": 2_000,
    "socketTimeoutMS": 5_000,
    "connectTimeoutMS": 2_000,
}
PING_SECONDS = 1.0
DUPLICATE_KEY = 11000
BAD_VALUE, TYPE_MISMATCH, INVALID, TOO_LARGE = 2, 14, 121, 10334
FAULTY_REQUEST = {DUPLICATE_KEY, BAD_VALUE, TYPE_MISMATCH, INVALID, TOO_LARGE}
"""Server error codes that a repetition of the same request gets again."""


@asynccontextmanager
async def connect(url: str, **options: Any) -> AsyncIterator[Any]:
    """Open the database that `url` names, `parley` if it names none.

    Each call answers or fails within seconds. A write is acknowledged once a majority has journaled it.

    Args:
        url: A MongoDB connection string.
        options: Further options of the driver's client, or others in place of these.
    """
    client: Any = AsyncIOMotorClient(url, **{**OPTIONS, **options})
    try:
        yield client.get_default_database("parley")
    finally:
        client.close()


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
    return not _codes(error) & FAULTY_REQUEST


def _codes(error: PyMongoError) -> set[Any]:
    if isinstance(error, BulkWriteError):
        return {e.get("code") for e in error.details.get("writeErrors") or ()}
    return {getattr(error, "code", None)}
