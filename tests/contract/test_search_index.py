"""The index of the search: MongoDB and the fake in memory behave alike; and what only a database can show."""

import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.memory_search_index import MemorySearchIndex
from parley.gateway.adapters.mongo.search import MongoSearch
from parley.persistence_worker.search.index_mongo import MongoSearchIndex
from parley.persistence_worker.search.indexer import index_changes
from parley.persistence_worker.search.ports import SearchIndex
from parley.shared.documents import CONVERSATIONS, MESSAGES, SEARCH_BLOCKS, SEARCH_WORDS, to_document
from parley.shared.migrations import migrate
from parley.shared.model import Attachment, Conversation, Message, now
from parley.shared.mongo import Database
from parley.shared.search_index import INDEXED


@dataclass
class Archive:
    """Stored conversations, and an index of them."""

    index: SearchIndex
    database: Any

    async def begin(self) -> str:
        conversation_id = str(uuid.uuid4())
        await self.move(conversation_id, 0)
        return conversation_id

    async def move(self, conversation_id: str, seq: int, rev: int | None = None) -> None:
        """Set the head of a conversation."""
        head = {"lastSeq": seq, "rev": seq if rev is None else rev}
        if isinstance(self.index, MemorySearchIndex):
            self.index.heads[conversation_id] = head["rev"]
            return
        new = Conversation(id=conversation_id, kind="group", created_by="ann", created_at=now())
        begun = {k: v for k, v in to_document(new).items() if k not in ("_id", *head)}
        update = {"$set": head, "$setOnInsert": begun}
        await self.database[CONVERSATIONS].update_one({"_id": conversation_id}, update, upsert=True)

    async def store(self, conversation_id: str, *messages: Message) -> None:
        """Store messages, or replace them."""
        for message in messages:
            if isinstance(self.index, MemorySearchIndex):
                self.index.messages[message.id] = message
            else:
                document = to_document(message)
                await self.database[MESSAGES].replace_one({"_id": message.id}, document, upsert=True)

    async def missing(self, conversation_id: str) -> int:
        return (await self.index.progress([conversation_id]))[conversation_id].missing


@pytest.fixture(params=["memory", "mongodb"])
async def archive(request: pytest.FixtureRequest, database: Database) -> Archive:
    """Each kind of index in turn."""
    if request.param == "memory":
        return Archive(MemorySearchIndex(), None)
    await migrate(database)
    return Archive(MongoSearchIndex(database), database)


@pytest.fixture
async def stored(database: Database) -> Archive:
    """An index in MongoDB."""
    await migrate(database)
    return Archive(MongoSearchIndex(database), database)


def message(conversation_id: str, seq: int, content: str = "tea", **more: Any) -> Message:
    fields = {"id": str(uuid.uuid4()), "rev": seq, "created_at": now(), **more}
    return Message(conversation_id=conversation_id, sender_id="ann", seq=seq, content=content, **fields)


async def test_a_conversation_is_behind_until_its_changes_are_indexed(archive: Archive) -> None:
    conversation = await archive.begin()
    assert await archive.missing(conversation) == 0
    await archive.store(conversation, *(message(conversation, n) for n in (1, 2, 3)))
    await archive.move(conversation, 3)

    assert await archive.missing(conversation) == 3
    assert conversation in await archive.index.behind("", 100_000)
    assert await index_changes(archive.index, [conversation]) == []
    assert await archive.missing(conversation) == 0
    assert conversation not in await archive.index.behind("", 100_000)


async def test_the_changes_between_two_revisions_are_returned(archive: Archive) -> None:
    one, other = await archive.begin(), await archive.begin()
    for conversation in (one, other):
        await archive.store(conversation, *(message(conversation, n) for n in range(1, 6)))
    found = await archive.index.changes({one: (1, 3), other: (4, 9)})
    assert sorted((m.conversation_id, m.rev) for m in found) == sorted([(one, 2), (one, 3), (other, 5)])
    assert await archive.index.changes({}) == []


async def test_a_mark_is_never_moved_back(archive: Archive) -> None:
    conversation = await archive.begin()
    messages = [message(conversation, n) for n in (1, 2, 3)]
    await archive.store(conversation, *messages)
    await archive.move(conversation, 3)
    before = (await archive.index.progress([conversation]))[conversation].mark
    late = before.after(messages[:1], 1)
    await archive.index.add(messages, {conversation: before.after(messages, 3)})
    await archive.index.add(messages[:1], {conversation: late})

    mark = (await archive.index.progress([conversation]))[conversation].mark
    assert (mark.rev, mark.seq) == (3, 3)


async def test_no_conversation_is_indexed_in_an_index_that_was_begun_anew(archive: Archive) -> None:
    conversation = await archive.begin()
    await archive.store(conversation, message(conversation, 1))
    await archive.move(conversation, 1)
    assert await index_changes(archive.index, [conversation]) == []

    await archive.index.begin_anew()

    assert await archive.missing(conversation) == 1
    assert await index_changes(archive.index, [conversation]) == []
    assert await archive.missing(conversation) == 0


async def test_conversations_that_are_behind_are_listed_in_pages(archive: Archive) -> None:
    added = sorted([await archive.begin() for _ in range(5)])
    for conversation in added:
        await archive.store(conversation, message(conversation, 1))
        await archive.move(conversation, 1)
    listed, after = [], ""
    while page := await archive.index.behind(after, 2):
        assert len(page) <= 2
        after = page[-1]
        listed += page
    assert [each for each in listed if each in added] == added
    assert listed == sorted(listed)


async def find(archive: Archive, conversation_id: str, word: str, hidden: int = 0) -> list[int]:
    """Return the numbers of the messages that are found."""
    found, _ = await MongoSearch(archive.database).find({conversation_id: hidden}, [word], 100, None)
    return [m.seq for m in found]


async def indexed_terms(archive: Archive) -> int:
    blocks = archive.database[SEARCH_BLOCKS].find({"terms": {"$exists": True}}, {"terms": 1})
    return sum([len(block["terms"]) async for block in blocks])


async def test_a_search_reads_no_message_where_the_index_has_no_such_word(stored: Archive) -> None:
    conversation = await stored.begin()
    await stored.store(conversation, *(message(conversation, n) for n in range(1, 100)))
    await stored.move(conversation, 99)
    await index_changes(stored.index, [conversation])
    # The stored words change without a revision: only a search that reads the message could know.
    await stored.database[MESSAGES].update_many(
        {"conversationId": conversation}, {"$set": {"content": "cake"}}
    )

    assert await find(stored, conversation, "cake") == []
    assert await find(stored, conversation, "tea") == []


async def test_edits_are_found_before_they_are_indexed_and_after(stored: Archive) -> None:
    conversation = await stored.begin()
    messages = [message(conversation, n) for n in range(1, 100)]
    await stored.store(conversation, *messages)
    await stored.move(conversation, 99)
    await index_changes(stored.index, [conversation])
    deleted = replace(messages[70], content="", deleted_at=now(), rev=101)
    await stored.store(conversation, replace(messages[4], content="cake", rev=100), deleted)
    await stored.store(conversation, message(conversation, 100, "new cake", rev=102))
    await stored.move(conversation, 100, 102)

    for _ in range(2):
        assert await find(stored, conversation, "cake") == [100, 5]
        assert await find(stored, conversation, "tea") == [n for n in range(99, 0, -1) if n not in (5, 71)]
        await index_changes(stored.index, [conversation])


async def test_an_index_that_is_dropped_counts_for_nothing(stored: Archive) -> None:
    conversation = await stored.begin()
    await stored.store(conversation, message(conversation, 1))
    await stored.move(conversation, 1)
    await index_changes(stored.index, [conversation])
    for name in (SEARCH_BLOCKS, SEARCH_WORDS):
        await stored.database.drop_collection(name)

    assert await find(stored, conversation, "tea") == [1]
    assert await index_changes(stored.index, [conversation]) == []
    assert await find(stored, conversation, "tea") == [1]


async def test_a_repetition_adds_nothing(stored: Archive) -> None:
    conversation = await stored.begin()
    await stored.store(conversation, message(conversation, 1, "tea and cake"))
    await stored.move(conversation, 1)
    await index_changes(stored.index, [conversation])
    before = await indexed_terms(stored)
    unmark = {"$unset": {INDEXED: ""}}
    await stored.database[CONVERSATIONS].update_one({"_id": conversation}, unmark)

    await index_changes(stored.index, [conversation])

    assert await indexed_terms(stored) == before


async def test_hidden_messages_are_not_found(stored: Archive) -> None:
    conversation = await stored.begin()
    await stored.store(conversation, *(message(conversation, n) for n in range(1, 80)))
    await stored.move(conversation, 79)
    for _ in range(2):
        assert await find(stored, conversation, "tea", hidden=76) == [79, 78, 77]
        assert await find(stored, conversation, "tea", hidden=79) == []
        await index_changes(stored.index, [conversation])


async def test_a_file_is_found_by_its_name(stored: Archive) -> None:
    conversation = await stored.begin()
    file = Attachment(id="a", name="Büro-Plan_2026.pdf", size=1, type="application/pdf")
    await stored.store(conversation, message(conversation, 1, "", attachments=(file,), type="file"))
    await stored.store(conversation, message(conversation, 2, "the plan"))
    await stored.move(conversation, 2)
    for _ in range(2):
        assert await find(stored, conversation, "plan") == [2, 1]
        assert await find(stored, conversation, "BÜRO") == [1]
        assert await find(stored, conversation, "2026.pdf") == [1]
        await index_changes(stored.index, [conversation])
