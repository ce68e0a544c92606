"""The search index in MongoDB.

A block grows only: the words of an edited or deleted message stay in it, and a search reads some messages in
vain. So writes may be repeated, or made by two workers, in any order. A conversation's mark follows when a
majority has its blocks; messages and marks are read from a majority too, so no indexed one is rolled back.
"""

import asyncio
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from pymongo import ReturnDocument, UpdateOne

from parley.persistence_worker.ports import StoreUnavailable
from parley.persistence_worker.search.ports import Progress
from parley.shared import mongo
from parley.shared.documents import CONVERSATIONS, MESSAGES, SEARCH_BLOCKS, SEARCH_WORDS, from_document
from parley.shared.indexes import BY_REVISION, INDEXES
from parley.shared.migrations import migrate
from parley.shared.model import Message
from parley.shared.search_index import (
    BUILD,
    INDEXED,
    Mark,
    behind,
    block_id,
    conversation_hash,
    mark_document,
    mark_of,
    time_of,
)
from parley.shared.search_terms import block_of, endings, hashes_of, terms_of, text_of

KNOWN_WORDS = 100_000
"""Words that are known to be stored, so that they are not written again."""
SPLIT_AT_ONCE = 16
"""Messages that are split into words before other work of the event loop is done."""
REMEMBERED_MARKS = 100_000
"""Conversations whose last mark is remembered."""

translate_errors = partial(mongo.translate_errors, StoreUnavailable)


class MongoSearchIndex:
    """`SearchIndex`."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._conversations = database[CONVERSATIONS]
        self._messages = database[MESSAGES]
        self._blocks = database[SEARCH_BLOCKS]
        self._words = database[SEARCH_WORDS]
        self._known: set[str] = set()
        self._marks: dict[str, int] = {}
        self._build = 0

    async def begin_anew(self) -> None:
        await self._follow()
        build = max(_new_build(), self._build + 1)
        with translate_errors():
            # The number comes first: a mark of the former build must not stand for blocks that are deleted.
            await self._blocks.update_one({"_id": BUILD}, {"$max": {"number": build}}, upsert=True)
            await self._blocks.delete_many({"_id": {"$ne": BUILD}})
            await self._words.delete_many({})
        self._use(build)

    async def behind(self, after: str, limit: int) -> list[str]:
        await self._follow()
        query = {"_id": {"$gt": after}, "rev": {"$gt": 0}, **behind(self._build)}
        with translate_errors():
            cursor = self._conversations.find(query, {"_id": 1}).sort("_id", 1).limit(limit)
            return [document["_id"] for document in await cursor.to_list(None)]

    async def progress(self, conversation_ids: Collection[str]) -> dict[str, Progress]:
        await self._follow()
        query = {"_id": {"$in": list(conversation_ids)}}
        with translate_errors():
            heads = await self._conversations.find(query, {"rev": 1, INDEXED: 1}).to_list(None)
        nothing = Mark(build=self._build)
        found = {h["_id"]: Progress(h["rev"], mark_of(h, self._build) or nothing) for h in heads}
        self._notice_restoration({conversation_id: each.mark.rev for conversation_id, each in found.items()})
        return found

    async def changes(self, spans: Mapping[str, tuple[int, int]]) -> list[Message]:
        each = [{"conversationId": i, "rev": {"$gt": low, "$lte": high}} for i, (low, high) in spans.items()]
        if not each:
            return []
        with translate_errors():
            found = await self._messages.find({"$or": each}).hint(BY_REVISION).to_list(None)
        return [from_document(Message, document) for document in found]

    async def add(self, messages: Sequence[Message], marks: Mapping[str, Mark]) -> None:
        words, blocks = await _blocks_of(messages)
        await self._add_words(words)
        marked = [
            UpdateOne({"_id": conversation_id}, {"$max": {INDEXED: mark_document(mark)}})
            for conversation_id, mark in marks.items()
        ]
        with translate_errors():
            if blocks:
                await self._blocks.bulk_write(list(_updates(blocks)), ordered=False)
            await self._conversations.bulk_write(marked, ordered=False)

    async def _add_words(self, words: Iterable[str]) -> None:
        """Store the words that are new."""
        unsure = [word for word in words if word not in self._known]
        if not unsure:
            return
        with translate_errors():
            stored = await self._words.find({"_id": {"$in": unsure}}, {"_id": 1}).to_list(None)
            new = set(unsure).difference(document["_id"] for document in stored)
            writes = [
                UpdateOne({"_id": word}, {"$setOnInsert": {"endings": endings(word)}}, upsert=True)
                for word in new
            ]
            if writes:
                await self._words.bulk_write(writes, ordered=False)
        if len(self._known) > KNOWN_WORDS:
            self._known.clear()
        self._known.update(unsure)

    async def _follow(self) -> None:
        """Use the present build of the index, begun by any process; begin one if there is none."""
        with translate_errors():
            begun = await self._blocks.find_one({"_id": BUILD})
            if begun is None:
                # Somebody may have dropped the collections, and their indexes with them.
                await migrate(self._database, {name: INDEXES[name] for name in (SEARCH_BLOCKS, SEARCH_WORDS)})
                begun = await self._blocks.find_one_and_update(
                    {"_id": BUILD},
                    {"$setOnInsert": {"number": _new_build()}},
                    upsert=True,
                    return_document=ReturnDocument.AFTER,
                )
        if begun["number"] != self._build:
            self._use(begun["number"])

    def _use(self, build: int) -> None:
        self._build = build
        self._forget()

    def _notice_restoration(self, revs: Mapping[str, int]) -> None:
        """Forget which words are stored when a mark went back: MongoDB was restored to an earlier point."""
        if any(rev < self._marks.get(conversation_id, 0) for conversation_id, rev in revs.items()):
            self._forget()
        if len(self._marks) > REMEMBERED_MARKS:
            self._marks.clear()
        self._marks.update(revs)

    def _forget(self) -> None:
        self._known.clear()
        self._marks.clear()


Key = tuple[str, int]
"""A conversation and the number of a block."""


class _Block:
    """The additions to a block."""

    __slots__ = ("at", "terms")

    def __init__(self, at: datetime) -> None:
        self.terms: set[str] = set()
        self.at = at


async def _blocks_of(messages: Sequence[Message]) -> tuple[set[str], dict[Key, _Block]]:
    """Return the words of messages, and their terms by block; deleted messages have none."""
    all_words: set[str] = set()
    blocks: dict[Key, _Block] = {}
    for number, message in enumerate(messages, 1):
        if number % SPLIT_AT_ONCE == 0:
            await asyncio.sleep(0)
        if message.deleted_at is not None:
            continue
        key, at = (message.conversation_id, block_of(message.seq)), time_of(message)
        block = blocks.setdefault(key, _Block(at))
        words, others = terms_of(text_of(message))
        all_words |= words
        block.terms |= words
        block.terms |= others
        block.at = max(block.at, at)
    return all_words, blocks


def _updates(blocks: Mapping[Key, _Block]) -> Iterator[UpdateOne]:
    for (conversation_id, number), block in blocks.items():
        yield UpdateOne(
            {"_id": block_id(conversation_id, number)},
            {
                "$setOnInsert": {"conversation": conversation_hash(conversation_id)},
                "$addToSet": {"terms": {"$each": hashes_of(block.terms)}},
                "$max": {"at": block.at},
            },
            upsert=True,
        )


def _new_build() -> int:
    """Return a number above those of earlier builds."""
    return int(time.time() * 1_000)
