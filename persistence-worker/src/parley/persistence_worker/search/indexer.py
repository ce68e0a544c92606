"""Keeps the search index up with the stored messages, beside their way and slower than it.

Nothing waits for the index: a search reads the messages that are not indexed yet. While a worker is busy, its
indexer takes a twentieth of the time. The list of changed conversations is kept in memory only: the next
owner of a partition finds those that are behind by their marks in the database.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from time import monotonic

import structlog

from parley.persistence_worker.group_commit import Persists
from parley.persistence_worker.ports import StoreUnavailable
from parley.persistence_worker.search.ports import Progress, SearchIndex
from parley.shared.metrics import search_lag_seconds, search_unindexed
from parley.shared.model import Message
from parley.shared.records import Deletion, Edit, NewMessage, Record

log = structlog.get_logger()

AT_ONCE = 100
"""Conversations of one step, at most."""
CHANGES_AT_ONCE = 300
"""Changes of one step, at most."""
FOUND_AT_ONCE = 1_000
"""Conversations that are behind, of one query."""
GATHER_SECONDS = 0.5
"""Least time between two steps, so that several messages of a conversation are indexed together."""
BUSY_RECORDS = 50
"""Records a second from which on a worker counts as busy."""
BUSY_SHARE, IDLE_SHARE = 0.05, 0.5
"""Share of the time that indexing may take of a busy worker, and of an idle one."""
RETRY_SECONDS = 2.0


class Indexer:
    """Indexes the conversations that were noted, those that have waited longest first.

    Args:
        index: The index.
        is_mine: Tells whether this worker has a conversation's partition.
    """

    def __init__(self, index: SearchIndex, is_mine: Callable[[str], bool]) -> None:
        self._index = index
        self._is_mine = is_mine
        self._waiting: dict[str, float] = {}
        self._in_step: Mapping[str, float] = {}
        self._records = 0
        self._work = asyncio.Event()
        self._work.set()
        self._looks = 0
        self._look_above: str | None = ""
        self._limit = AT_ONCE
        search_lag_seconds.set_function(self._lag)
        search_unindexed.set_function(lambda: len(self._waiting))

    def note(self, records: Sequence[Record]) -> None:
        """Note the conversations that these records have changed."""
        now = monotonic()
        for record in records:
            if isinstance(record, NewMessage | Edit | Deletion):
                self._waiting.setdefault(record.conversation_id, now)
        self._records += len(records)
        self._work.set()

    def look(self) -> None:
        """Look for conversations that are behind: this worker got a partition."""
        self._looks += 1
        self._look_above = ""
        self._work.set()

    def _lag(self) -> float:
        """Return for how many seconds the change that has waited longest is not indexed; 0 without any."""
        oldest = [next(iter(each.values())) for each in (self._in_step, self._waiting) if each]
        return max(0.0, monotonic() - min(oldest)) if oldest else 0.0

    async def run(self) -> None:
        """Index until cancelled."""
        before = monotonic()
        while True:
            await self._work.wait()
            began = monotonic()
            records_per_second = self._records / max(GATHER_SECONDS, began - before)
            before, self._records = began, 0
            try:
                await self._step()
            except StoreUnavailable as error:
                log.info("worker.search.database_away", error=str(error)[:200])
                await asyncio.sleep(RETRY_SECONDS)
            await asyncio.sleep(_pause(monotonic() - began, records_per_second))

    async def _step(self) -> None:
        if self._look_above is not None and len(self._waiting) < FOUND_AT_ONCE:
            await self._find_behind(self._look_above)
        batch = list(islice(self._waiting, self._limit))
        if not batch:
            if self._look_above is None:
                self._work.clear()
            return
        self._in_step = since = {each: self._waiting.pop(each) for each in batch}
        try:
            left = await index_changes(self._index, batch)
            self._wait_again({conversation_id: since[conversation_id] for conversation_id in left})
            self._limit = AT_ONCE
        except (StoreUnavailable, asyncio.CancelledError):
            self._wait_again(since)
            raise
        except Exception as error:
            self._isolate(since, error)
        finally:
            self._in_step = {}

    def _isolate(self, since: Mapping[str, float], error: Exception) -> None:
        """Try conversations alone after one of them has failed by its own fault; leave that one unindexed."""
        if len(since) > 1:
            self._limit = 1
            self._wait_again(since)
        else:
            log.error("worker.search.failed", conversation=next(iter(since)), error=repr(error))

    def _wait_again(self, since: Mapping[str, float]) -> None:
        """Put conversations back to the front."""
        self._waiting = {**since, **{k: v for k, v in self._waiting.items() if k not in since}}

    async def _find_behind(self, after: str) -> None:
        """Find the next page of conversations that are behind, above an id; there may be millions."""
        looks = self._looks
        page = await self._index.behind(after, FOUND_AT_ONCE)
        mine = [conversation_id for conversation_id in page if self._is_mine(conversation_id)]
        for conversation_id in mine:
            self._waiting.setdefault(conversation_id, monotonic())
        if mine:
            log.info("worker.search.behind", conversations=len(mine))
        if self._looks == looks:
            # Otherwise the worker got another partition meanwhile, and looks from the start.
            self._look_above = page[-1] if page else None


async def index_changes(index: SearchIndex, conversation_ids: Sequence[str]) -> list[str]:
    """Index the next changes of conversations; return those that have more."""
    progress = await index.progress(conversation_ids)
    behind = {i: each for i, each in progress.items() if each.missing}
    spans = dict(_spans(behind))
    messages = await index.changes(spans)
    if spans:
        by_conversation: dict[str, list[Message]] = {conversation_id: [] for conversation_id in spans}
        for message in messages:
            by_conversation[message.conversation_id].append(message)
        await index.add(
            messages, {i: behind[i].mark.after(by_conversation[i], spans[i][1]) for i in by_conversation}
        )
    return [i for i, each in behind.items() if i not in spans or spans[i][1] < each.rev]


def _spans(behind: Mapping[str, Progress]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the revisions that one step indexes, by conversation."""
    left = CHANGES_AT_ONCE
    for conversation_id, each in behind.items():
        if left <= 0:
            return
        upto = each.mark.rev + min(left, each.missing)
        left -= upto - each.mark.rev
        yield conversation_id, (each.mark.rev, upto)


def _pause(seconds: float, records_per_second: float) -> float:
    """Return how long to do nothing after a step of some seconds."""
    share = BUSY_SHARE if records_per_second > BUSY_RECORDS else IDLE_SHARE
    return max(GATHER_SECONDS, seconds * (1 / share - 1))


class NotingPersister:
    """Persists batches as another persister does, and notes their conversations for the index."""

    def __init__(self, persister: Persists, indexer: Indexer) -> None:
        self._persister = persister
        self._indexer = indexer

    async def persist(self, records: Sequence[Record], *, redelivered: bool = False) -> None:
        await self._persister.persist(records, redelivered=redelivered)
        self._indexer.note(records)
