"""Inserts that can be repeated: documents that are there already are left as they are."""

from collections.abc import Sequence
from typing import Any

from pymongo.errors import BulkWriteError

from parley.gateway.adapters.mongo.errors import translate_errors
from parley.shared.documents import Document
from parley.shared.mongo import DUPLICATE_KEY


async def insert_missing(collection: Any, documents: Sequence[Document]) -> list[Document]:
    """Insert the documents whose unique keys are free; return those.

    When it returns, a majority has all of them, also those that were there: an earlier attempt that timed
    out may have written them. A single insert would report the duplicate key only, and not that the wait
    for the majority has failed as well.

    Raises:
        Unavailable: MongoDB is away, or no majority has all of them yet.
    """
    try:
        with translate_errors():
            await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        failed = {e["index"]: e["code"] for e in error.details["writeErrors"]}
        if any(code != DUPLICATE_KEY for code in failed.values()):
            raise
        return [document for index, document in enumerate(documents) if index not in failed]
    return list(documents)
