"""One run over all data: conversations some at a time, each message read once, in bounded memory.

An inconsistency is looked at again a moment later, since the services may just be writing there.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from parley.cli.verify import references
from parley.cli.verify.conversation import Recount, attached, recount
from parley.cli.verify.inconsistency import Inconsistency
from parley.shared.documents import CONVERSATIONS, Document

HEAD = {"lastSeq": 1, "rev": 1, "epochs": 1}
PAGE = 200
AT_ONCE = 4
AGAIN_SECONDS = 1.5

Advance = Callable[[int], None]
Look = Callable[[], Awaitable[list[Inconsistency]]]


@dataclass
class Totals:
    """How much was recounted."""

    conversations: int = 0
    messages: int = 0
    references: int = 0


class Verification:
    """Verifies a database, or one conversation of it."""

    def __init__(self, database: Any, advance: Advance, conversation_id: str | None = None) -> None:
        self._database = database
        self._advance = advance
        self._only = conversation_id
        self.totals = Totals()

    async def run(self) -> AsyncIterator[Inconsistency]:
        """Yield the inconsistencies as they are found."""
        async for page in self._pages():
            for start in range(0, len(page), AT_ONCE):
                some = page[start : start + AT_ONCE]
                for found in await asyncio.gather(*map(self._conversation, some)):
                    for inconsistency in found:
                        yield inconsistency
        if self._only is None:
            async for found in references.check_uses(self._database):
                for inconsistency in await self._confirmed(found, self._uses_again):
                    yield inconsistency

    async def _pages(self) -> AsyncIterator[list[Document]]:
        """Yield heads; each page is a query of its own, since a cursor would expire meanwhile."""
        if self._only is not None:
            yield await self._heads({"_id": self._only})
            return
        after = ""
        while page := await self._heads({"_id": {"$gt": after}}):
            yield page
            after = page[-1]["_id"]

    async def _heads(self, query: Document) -> list[Document]:
        found: list[Document] = (
            await self._database[CONVERSATIONS].find(query, HEAD).sort("_id", 1).limit(PAGE).to_list(None)
        )
        return found

    async def _conversation(self, head: Document) -> list[Inconsistency]:
        found = await self._look(head, self._advance)
        self.totals.conversations += 1

        async def again() -> list[Inconsistency]:
            heads = await self._heads({"_id": head["_id"]})
            return await self._look(heads[0], _nothing) if heads else []

        return await self._confirm(found, again)

    async def _look(self, head: Document, advance: Advance) -> list[Inconsistency]:
        found: list[Inconsistency] = []
        waiting: list[tuple[str, str]] = []
        async for item in recount(self._database, head):
            if isinstance(item, Recount):
                found += item.inconsistencies()
                if advance is self._advance:
                    self.totals.messages += item.messages
            else:
                advance(1)
                waiting += attached({item["_id"]: item})
            if len(waiting) >= references.AT_ONCE or (waiting and isinstance(item, Recount)):
                found += await references.check_messages(self._database, waiting)
                self.totals.references += len(waiting) * (advance is self._advance)
                waiting = []
        return found

    async def _confirm(self, found: list[Inconsistency], again: Look) -> list[Inconsistency]:
        """Return what is still found after a moment, as it is then."""
        if not found:
            return []
        await asyncio.sleep(AGAIN_SECONDS)
        keys = {inconsistency.key for inconsistency in found}
        return [inconsistency for inconsistency in await again() if inconsistency.key in keys]

    async def _confirmed(
        self, found: list[Inconsistency], again: Callable[[Sequence[Inconsistency]], Awaitable[Any]]
    ) -> list[Inconsistency]:
        return await self._confirm(found, lambda: again(found))

    async def _uses_again(self, found: Sequence[Inconsistency]) -> list[Inconsistency]:
        wheres = [each.where for each in found]
        stored_uses = [
            {"_id": f"{where['attachment']}:{where['message']}", "attachmentId": where["attachment"]}
            for where in wheres
        ]
        return await references.check_stored(self._database, stored_uses)


def _nothing(_count: int) -> None:
    """Advance no progress bar: these messages were counted before."""
