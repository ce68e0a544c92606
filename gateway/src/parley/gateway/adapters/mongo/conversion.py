"""Conversion of many documents to values, a part of them in each turn of the event loop."""

import asyncio
from typing import Any, TypeVar

from msgspec import Struct

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.shared.documents import from_document

T = TypeVar("T", bound=Struct)

AT_ONCE = 250


async def all_values(cls: type[T], cursor: Any) -> list[T]:
    """Return the values of all documents of a cursor.

    A user may have thousands of memberships: decoded and converted at once they would hold up all clients.
    """
    values: list[T] = []
    cursor = cursor.batch_size(AT_ONCE)
    with translate_errors():
        while True:
            documents = await cursor.to_list(AT_ONCE)
            values += [from_document(cls, document) for document in documents]
            if len(documents) < AT_ONCE:
                return values
            await asyncio.sleep(0)
