"""The indexer indexes noted conversations, finds others, and outlasts outages and faulty messages."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from clients.chat import eventually
from fakes.memory_search_index import MemorySearchIndex
from parley.persistence_worker.ports import StoreUnavailable
from parley.persistence_worker.search import indexer as indexing
from parley.persistence_worker.search.indexer import Indexer, NotingPersister, _pause, index_changes
from parley.persistence_worker.search.rebuild import catch_up
from parley.shared.model import Message, Person, now
from parley.shared.records import NewMessage, ReadMark, Record
from parley.shared.search_index import Mark


class FaultyIndex(MemorySearchIndex):
    """An index that can be away, and that a message may make fail."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.refused = 0
        self.faulty: set[str] = set()
        self.writing = 0
        self.is_open = asyncio.Event()
        self.is_open.set()

    def store(self, conversation_id: str, *contents: str) -> list[Message]:
        """Store messages, and move the head."""
        stored = []
        for content in contents:
            rev = self.heads[conversation_id] = self.heads.get(conversation_id, 0) + 1
            seq = 1 + sum(m.conversation_id == conversation_id for m in self.messages.values())
            message = Message(
                id=f"{conversation_id}-{seq}",
                conversation_id=conversation_id,
                sender_id="ann",
                content=content,
                created_at=now(),
                seq=seq,
                rev=rev,
            )
            self.messages[message.id] = message
            stored.append(message)
        return stored

    def edit(self, message: Message, content: str) -> None:
        rev = self.heads[message.conversation_id] = self.heads[message.conversation_id] + 1
        self.messages[message.id] = replace(message, content=content, rev=rev)

    def words(self, conversation_id: str) -> set[str]:
        return {word for (i, _), words in self.terms.items() if i == conversation_id for word in words}

    async def add(self, messages: Sequence[Message], marks: Mapping[str, Mark]) -> None:
        if self.away:
            self.refused += 1
            raise StoreUnavailable("away")
        if self.faulty & set(marks):
            raise ValueError("a faulty message")
        self.writing += 1
        await self.is_open.wait()
        await super().add(messages, marks)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> FaultyIndex:
    monkeypatch.setattr(indexing, "GATHER_SECONDS", 0.001)
    monkeypatch.setattr(indexing, "RETRY_SECONDS", 0.001)
    return FaultyIndex()


@asynccontextmanager
async def running(index: FaultyIndex, *, mine: bool = True) -> AsyncIterator[Indexer]:
    indexer = Indexer(index, lambda _: mine)
    work = asyncio.create_task(indexer.run())
    try:
        yield indexer
    finally:
        work.cancel()
        await asyncio.wait({work})


def records(messages: Sequence[Message]) -> list[Record]:
    return [NewMessage(id=m.id, message=m, sender=Person(id="ann")) for m in messages]


async def test_a_noted_conversation_is_indexed(index: FaultyIndex) -> None:
    async with running(index) as indexer:
        for word in ("tea", "coffee"):
            indexer.note(records(index.store("c", word)))
            await eventually(lambda word=word: word in index.words("c"))


async def test_a_persisted_batch_is_noted(index: FaultyIndex) -> None:
    class Persister:
        async def persist(self, records: Sequence[Record], *, redelivered: bool = False) -> None:
            index.store("c", *(r.message.content for r in records if isinstance(r, NewMessage)))

    batch = records(FaultyIndex().store("c", "tea"))
    mark = ReadMark(id="r", conversation_id="c", user_id="ann", seq=1, message_id=None, at=now())
    async with running(index) as indexer:
        await NotingPersister(Persister(), indexer).persist([*batch, mark])
        await eventually(lambda: index.words("c") == {"tea"})


async def test_a_new_owner_finds_what_its_predecessor_has_not_indexed(index: FaultyIndex) -> None:
    index.store("c", *(f"w{n}" for n in range(1_100)))
    index.store("d", "tea")
    async with running(index) as indexer:
        await eventually(lambda: len(index.words("c")) == 1_100 and index.words("d") == {"tea"})
        index.store("e", "cake")
        indexer.look()
        await eventually(lambda: index.words("e") == {"cake"})


async def test_conversations_of_other_owners_are_left_to_them(index: FaultyIndex) -> None:
    index.store("c", "tea")
    async with running(index, mine=False) as indexer:
        indexer.note(records(index.store("d", "cake")))
        await eventually(lambda: index.words("d") == {"cake"})
    assert index.words("c") == set()


async def test_an_outage_of_the_database_delays_the_index_only(index: FaultyIndex) -> None:
    async with running(index) as indexer:
        index.away = True
        indexer.note(records(index.store("c", "tea")))
        await eventually(lambda: index.refused > 1)
        assert indexer._lag() > 0
        index.away = False
        await eventually(lambda: index.words("c") == {"tea"})
        await eventually(lambda: indexer._lag() == 0)


async def test_a_slow_write_of_the_index_counts_as_lag(index: FaultyIndex) -> None:
    async with running(index) as indexer:
        index.is_open.clear()
        indexer.note(records(index.store("c", "tea")))
        await eventually(lambda: index.writing)
        assert indexer._lag() > 0
        index.is_open.set()
        await eventually(lambda: index.words("c") == {"tea"})
        await eventually(lambda: indexer._lag() == 0)


async def test_a_faulty_conversation_keeps_no_other_from_being_indexed(index: FaultyIndex) -> None:
    index.faulty = {"faulty"}
    async with running(index) as indexer:
        for name in ("a", "faulty", "z"):
            indexer.note(records(index.store(name, f"tea {name}")))
        await eventually(lambda: {"a", "z"} <= index.words("a") | index.words("z"))
        await eventually(lambda: indexer._lag() == 0)
        indexer.note(records(index.store("later", "cake")))
        await eventually(lambda: index.words("later") == {"cake"})


async def test_an_edited_message_gets_its_new_words(index: FaultyIndex) -> None:
    first, _ = index.store("c", "tea", "cake")
    assert await index_changes(index, ["c"]) == []
    index.edit(first, "coffee")
    assert await index_changes(index, ["c"]) == []
    assert index.words("c") == {"tea", "cake", "coffee"}
    progress = (await index.progress(["c"]))["c"]
    assert (progress.mark.rev, progress.mark.seq) == (3, 2)


async def test_one_step_is_bounded_and_the_next_goes_on(index: FaultyIndex) -> None:
    for name in ("a", "b"):
        index.store(name, *(f"{name}{n}" for n in range(indexing.CHANGES_AT_ONCE)))
    left = await index_changes(index, ["a", "b", "unknown"])
    assert left == ["b"]
    assert await index_changes(index, left) == []
    assert len(index.words("a") | index.words("b")) == 2 * indexing.CHANGES_AT_ONCE


async def test_a_rebuild_indexes_everything_again(index: FaultyIndex) -> None:
    for n in range(300):
        index.store(f"c{n:03}", "tea")
    lines: list[str] = []
    await catch_up(index, asyncio.Event(), lines.append)
    await index.begin_anew()
    assert index.words("c000") == set()
    await catch_up(index, asyncio.Event(), lines.append)
    assert all(index.words(f"c{n:03}") == {"tea"} for n in range(300))
    assert lines[-1] == "search index: 300 conversations"


def test_a_busy_worker_gives_a_twentieth_of_the_time() -> None:
    assert _pause(1.0, 1_000) == pytest.approx(19)
    assert _pause(1.0, 1) == pytest.approx(1)
    assert _pause(0.001, 1) == indexing.GATHER_SECONDS
