"""The database of a stack, for tests that look at what is stored."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from parley.shared import mongo


def open_database(url: str, **options: Any) -> AbstractAsyncContextManager[Any]:
    """Connect as the services do, but wait through the outages that tests make."""
    return mongo.connect(url, **{"serverSelectionTimeoutMS": 30_000, "socketTimeoutMS": None, **options})
