"""Build the search index anew; searches meanwhile read the messages of what is not indexed yet."""

import asyncio
from collections.abc import Callable
from time import monotonic

from parley.persistence_worker.search.index_mongo import MongoSearchIndex
from parley.persistence_worker.search.indexer import AT_ONCE, index_changes
from parley.persistence_worker.search.ports import SearchIndex
from parley.shared import migrations, mongo

SHOW_SECONDS = 2.0
"""Time between two lines of progress."""


async def rebuild(url: str, stopped: asyncio.Event, show: Callable[[str], None]) -> None:
    """Drop the index and build it; workers go on from there if this is stopped.

    Args:
        url: A MongoDB connection string.
        stopped: Ends the work early.
        show: Gets lines of progress.
    """
    async with mongo.connect(url) as database:
        await migrations.prepare(database, stopped)
        index = MongoSearchIndex(database)
        await index.begin_anew()
        await catch_up(index, stopped, show)


async def catch_up(index: SearchIndex, stopped: asyncio.Event, show: Callable[[str], None]) -> None:
    """Index all conversations that are behind."""
    after, done, shown = "", 0, monotonic()
    while not stopped.is_set() and (behind := await index.behind(after, AT_ONCE)):
        left = behind
        while left and not stopped.is_set():
            left = await index_changes(index, left)
            if monotonic() - shown > SHOW_SECONDS:
                shown = monotonic()
                show(f"search index: {done + len(behind) - len(left):,} conversations")
        after, done = behind[-1], done + len(behind)
    show(f"search index: {done:,} conversations{', stopped early' if stopped.is_set() else ''}")
