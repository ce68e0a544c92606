"""Reads of many clients in one round trip: those that come while one is under way share the next.

After a gateway was lost thousands of clients return at once. If their reads took turns, each would wait for
all those before it.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, NamedTuple, TypeVar

from parley.gateway.adapters.call_batches import CallBatches, Spawn
from parley.gateway.adapters.mongo.parallel_reads import ParallelReads
from parley.gateway.adapters.mongo.primary_reads import PrimaryReads
from parley.gateway.core.errors import Unavailable
from parley.shared.documents import Document

T = TypeVar("T")
R = TypeVar("R")

LINGER_SECONDS = 0.008
"""How long a read waits for others while there are more clients than can be served."""


class _ById(NamedTuple):
    """Documents of one collection by their ids."""

    collection: str
    ids: Collection[str]


class _Finds(NamedTuple):
    """`find` commands."""

    commands: Sequence[Document]


_Wanted = _ById | _Finds
_Found = list[list[Document]]


class SharedReads:
    """Reads from MongoDB's primary by one connection, as `PrimaryReads` does.

    Args:
        database: The database.
        spawn: Runs a coroutine in the background.
    """

    def __init__(self, database: Any, spawn: Spawn) -> None:
        self._reads = PrimaryReads(database)
        self._large = ParallelReads(database)
        self._spawn = spawn
        self._is_busy: Callable[[], bool] = lambda: False
        self._batches: CallBatches[_Wanted, _Found | Exception] = self.batches(self._run)

    def batches(self, run: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> CallBatches[T, R]:
        """Return batches of one kind of read, whose commands can be made one."""
        batches: CallBatches[T, R] = CallBatches(run, self._spawn)
        batches.linger = lambda: LINGER_SECONDS if self._is_busy() else 0.0
        return batches

    def linger_while(self, is_busy: Callable[[], bool]) -> None:
        """Have reads wait for others while a condition holds: in larger batches each read costs less."""
        self._is_busy = is_busy

    def close(self) -> None:
        """Close the connections; a later read opens others."""
        self._reads.close()
        self._large.close()

    async def by_id(self, collection: str, ids: Collection[str]) -> list[Document]:
        """Return the existing documents of these ids. Raises `Unavailable`."""
        (documents,) = await self._call(_ById(collection, ids))
        return documents

    async def find(self, *commands: Document) -> list[list[Document]]:
        """Run `find` commands as `PrimaryReads.find`; return the documents of each. Raises `Unavailable`."""
        return await self._call(_Finds(commands)) if commands else []

    async def find_large(self, *commands: Document) -> list[list[Document]]:
        """Run commands, each as long as many of others, at the same time. Raises `Unavailable`."""
        return await self._large.find(*commands)

    async def _call(self, wanted: _Wanted) -> _Found:
        found = await self._batches.call(wanted)
        if isinstance(found, Exception):
            raise found
        return found

    async def _run(self, batch: Sequence[_Wanted]) -> Sequence[_Found | Exception]:
        try:
            return await self._read(batch)
        except Unavailable:
            raise
        except Exception as error:
            if len(batch) == 1:
                return [error]
            # One command is refused, such as one with an id that UTF-8 cannot encode: it must fail alone.
            return [(await self._run([wanted]))[0] for wanted in batch]

    async def _read(self, batch: Sequence[_Wanted]) -> list[_Found]:
        ids: defaultdict[str, set[str]] = defaultdict(set)
        commands: list[Document] = []
        for wanted in batch:
            if isinstance(wanted, _ById):
                ids[wanted.collection].update(wanted.ids)
            else:
                commands += wanted.commands
        commands += [{"find": name, "filter": {"_id": {"$in": list(some)}}} for name, some in ids.items()]
        answers = iter(await self._reads.find(*commands))
        found = [[] if isinstance(w, _ById) else [next(answers) for _ in w.commands] for w in batch]
        known = {name: {document["_id"]: document for document in next(answers)} for name in ids}
        for wanted, place in zip(batch, found, strict=True):
            if isinstance(wanted, _ById):
                of_collection = known[wanted.collection]
                place.append([of_collection[each] for each in wanted.ids if each in of_collection])
        return found
