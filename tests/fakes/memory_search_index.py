"""The search index in memory."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from parley.persistence_worker.search.ports import Progress
from parley.shared.model import Message
from parley.shared.search_index import Mark
from parley.shared.search_terms import block_of, terms_of, text_of


class MemorySearchIndex:
    """`SearchIndex`; its conversations and messages are public."""

    def __init__(self) -> None:
        self.heads: dict[str, int] = {}
        self.messages: dict[str, Message] = {}
        self.terms: dict[tuple[str, int], set[str]] = defaultdict(set)
        self._marks: dict[str, Mark] = {}
        self._build = 1

    async def begin_anew(self) -> None:
        self._build += 1
        self.terms.clear()

    async def behind(self, after: str, limit: int) -> list[str]:
        found = [i for i, each in (await self.progress(self.heads)).items() if each.missing and i > after]
        return sorted(found)[:limit]

    async def progress(self, conversation_ids: Collection[str]) -> dict[str, Progress]:
        return {i: Progress(self.heads[i], self._mark(i)) for i in conversation_ids if i in self.heads}

    def _mark(self, conversation_id: str) -> Mark:
        mark = self._marks.get(conversation_id)
        return mark if mark is not None and mark.build == self._build else Mark(build=self._build)

    async def changes(self, spans: Mapping[str, tuple[int, int]]) -> list[Message]:
        return [
            m
            for m in self.messages.values()
            if m.conversation_id in spans
            and spans[m.conversation_id][0] < m.rev <= spans[m.conversation_id][1]
        ]

    async def add(self, messages: Sequence[Message], marks: Mapping[str, Mark]) -> None:
        for message in messages:
            if message.deleted_at is None:
                words, others = terms_of(text_of(message))
                self.terms[message.conversation_id, block_of(message.seq)] |= words | others
        for conversation_id, mark in marks.items():
            before = self._marks.get(conversation_id)
            if before is None or (before.build, before.rev) < (mark.build, mark.rev):
                self._marks[conversation_id] = mark
