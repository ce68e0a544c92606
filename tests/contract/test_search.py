"""Search through its port, over a real database: results, their order, and the limits of one search."""

import asyncio
import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count, cycle, repeat
from typing import Any

import pytest

from clients.chat import eventually
from clients.local_gateway import DatabaseCalls
from parley.gateway.adapters.mongo import search as archive_search
from parley.gateway.adapters.mongo import search_blocks, search_slices, search_spans, search_windows
from parley.gateway.adapters.mongo.conversations import MongoConversations
from parley.gateway.adapters.mongo.memberships import MongoMemberships
from parley.gateway.adapters.mongo.messages import MongoMessages
from parley.gateway.adapters.mongo.people import MongoPeople
from parley.gateway.adapters.mongo.search import MongoSearch
from parley.gateway.adapters.mongo.search_scan import Position, write_cursor
from parley.gateway.adapters.mongo.shared_reads import SharedReads
from parley.gateway.background import Background
from parley.gateway.core.commands import Search
from parley.gateway.core.errors import Invalid, RateLimited
from parley.gateway.services.access import Access
from parley.gateway.services.history import HistoryService
from parley.gateway.services.search import SearchService
from parley.gateway.state.membership_cache import MembershipCache
from parley.persistence_worker.search.index_mongo import MongoSearchIndex
from parley.persistence_worker.search.indexer import index_changes
from parley.shared import mongo
from parley.shared.documents import CONVERSATIONS, MESSAGES, to_document
from parley.shared.migrations import migrate
from parley.shared.model import Conversation, Digest, Epoch, Message, Person
from parley.shared.mongo import Database
from parley.stack import Stack

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
# Each seed takes ten seconds, six times in all.
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))]


class Library:
    """Conversations of one test, and a search in them.

    Args:
        database: The database.
        indexed: The stored messages that are indexed: none, all, or those up to every other call.

    Attributes:
        stamped: Whether heads say when the last message was stored, as those of 0.9.0 do not.
    """

    stamped = False

    def __init__(self, database: Any, indexed: str = "none") -> None:
        self.database = database
        self.search = MongoSearch(database)
        self.heads: dict[str, int] = {}
        self._indexed = {"none": repeat(False), "all": repeat(True), "some": cycle((True, False))}[indexed]
        self._index = MongoSearchIndex(database)

    def begin(self) -> str:
        conversation_id = str(uuid.uuid4())
        self.heads[conversation_id] = 0
        return conversation_id

    async def store(self, conversation_id: str, *contents: str, at: datetime = NOON, **more: Any) -> None:
        """Store messages, each a second after the one before."""
        times = [at + timedelta(seconds=n) for n in range(len(contents))]
        await self.store_at(conversation_id, list(zip(times, contents, strict=True)), **more)

    async def store_at(
        self, conversation_id: str, contents: Sequence[tuple[datetime, str]], **more: Any
    ) -> None:
        documents = [
            to_document(self._message(conversation_id, n, at, content, more))
            for n, (at, content) in enumerate(contents, self.heads[conversation_id] + 1)
        ]
        await self.database[MESSAGES].insert_many(documents)
        self.heads[conversation_id] += len(contents)
        await self._move(conversation_id, max(at for at, _ in contents), more.get("created_at"))
        if next(self._indexed):
            await self.index(conversation_id)

    async def index(self, conversation_id: str) -> None:
        """Index all messages of a conversation."""
        left = [conversation_id]
        while left:
            left = await index_changes(self._index, left)

    def _message(self, conversation_id: str, seq: int, at: datetime, content: str, more: Any) -> Message:
        return Message(
            id=str(uuid.uuid4()),
            conversation_id=conversation_id,
            sender_id="ann",
            seq=seq,
            rev=seq,
            content=content,
            stored_at=at,
            **{"created_at": at, **more},
        )

    async def _move(self, conversation_id: str, at: datetime, created_at: datetime | None) -> None:
        """Set the times of the conversation's last message."""
        seq = self.heads[conversation_id]
        last = Digest(
            id="last",
            seq=seq,
            sender_id="ann",
            content="",
            type="text",
            created_at=created_at or at,
            stored_at=at if self.stamped else None,
        )
        head = Conversation(
            id=conversation_id,
            kind="group",
            created_by="ann",
            created_at=NOON,
            last_seq=seq,
            rev=seq,
            last_message=last,
            epochs=(Epoch(1, 1),) if self.stamped else (),
        )
        update = {"$set": {k: v for k, v in to_document(head).items() if k != "_id"}}
        await self.database[CONVERSATIONS].update_one({"_id": conversation_id}, update, upsert=True)

    async def find(self, *words: str) -> list[str]:
        """Return the contents of all messages that are found."""
        return [content for page in await self.pages(words) for content in page]

    async def pages(self, words: Sequence[str], limit: int = 100) -> list[list[str]]:
        """Return the contents of all pages, up to the last."""
        pages, cursor = [], None
        while True:
            found, cursor = await self.search.find(dict.fromkeys(self.heads, 0), words, limit, cursor)
            pages.append([m.content for m in found])
            if cursor is None:
                return pages
            assert len(pages) < 1_000, "the cursor never ends"


@pytest.fixture(params=["none", "all", "some"])
async def library(database: Database, request: pytest.FixtureRequest) -> Library:
    """A library whose messages are indexed, or not, or some of them."""
    await migrate(database)
    return Library(database, request.param)


@pytest.fixture
async def unindexed(database: Database) -> Library:
    """A library without an index: its messages are read."""
    await migrate(database)
    return Library(database)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the limits of one read and of one search, so that few messages exceed them."""
    monkeypatch.setattr(archive_search, "WINDOW", 7)
    monkeypatch.setattr(archive_search, "MAX_READ", 20)


@pytest.mark.parametrize(
    ("word", "content"),
    [
        ("hello", "Well, HELLO there"),
        ("HELLO", "hello"),
        ("vers", "our conversation"),
        ("bÜro", "Im Büro"),
        ("büro", "BÜRO"),
        ("cafe\u0301", "un café"),
        ("café", "un cafe\u0301"),
        ("CAFÉ", "un cafe\u0301"),
        ("straße", "HAUPTSTRASSE"),
        ("привет", "ПРИВЕТ, мир"),
        ("ΟΔΟΣ", "η οδος"),
        ("izmir", "İZMİR"),
        ("İZMİR", "izmir"),
        ("\u0958", "\u0958\u093e"),
        ("テスト", "日本語テストです"),
        ("漢字", "常用漢字表"),
        ("한국", "대한민국 한국어"),
        ("🎉", "done 🎉"),
        ("ÜBERGRÖSSE", "in Übergröße"),
        ("übergröße", "U\u0308BERGRO\u0308SSE"),
        ("MASSE", "Maße"),
        ("GROẞE", "grosse"),
        ("ﬁnd", "FIND me"),
        ("office", "the o\ufb03ce"),
        ("\uff21\uff22\uff23", "abc"),
        ("abc\uff11", "\uff21\uff22\uff23\uff11"),
        ("ﾃﾞｰﾀ", "データ"),
        ("データ", "ﾃﾞｰﾀ"),
        ("ISPARTA", "\u0131sparta"),
        ("\u0130STANBUL", "i\u0307stanbul"),
        ("ΟΔΟΣ", "οδός"),
        ("οδο\u0301ς", "ΟΔΟΣ"),
        ("tiếng", "TIÊ\u0301NG Việt"),
        ("vi\u1ec7t", "viê\u0323t"),
        ("한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8어"),
        ("\u1112\u1161\u11ab", "대한민국"),
        ("ij", "\u0132S"),
        ("Å", "\u212b"),
        ("3.14", "pi is 3.14159"),
        ("two", "a line\nand two"),
    ],
)
async def test_a_word_is_found_in_any_case_and_script(word: str, content: str, library: Library) -> None:
    await library.store(library.begin(), "something else", content)
    assert await library.find(word) == [content]


@pytest.mark.parametrize(
    "word",
    [
        "c++",
        "a.b",
        "(x",
        "[y]",
        "$where",
        "{$gt:1}",
        "a|b",
        "^a",
        "z$",
        "\\d",
        "100%",
        "it's",
        '"q"',
        "a*",
        "#1",
    ],
)
async def test_signs_in_a_word_are_plain_text(word: str, library: Library) -> None:
    conversation = library.begin()
    await library.store(conversation, "aXb cc x y where gt a b z 55 100 its q aaa 1", f"so {word} it is")
    assert await library.find(word) == [f"so {word} it is"]


async def test_a_result_has_every_word_in_any_order(library: Library) -> None:
    await library.store(library.begin(), "red apple", "a green\napple, not a Red one", "red pear", "apple")
    assert await library.find("red", "apple") == ["a green\napple, not a Red one", "red apple"]
    assert await library.find("apple", "red") == ["a green\napple, not a Red one", "red apple"]


async def test_other_conversations_are_not_searched(library: Library, database: Any) -> None:
    await library.store(library.begin(), "our secret")
    stranger = Library(database)
    await stranger.store(stranger.begin(), "their secret")

    assert await library.find("secret") == ["our secret"]
    assert await MongoSearch(database).find({}, ["secret"], 10, None) == ([], None)


async def test_a_tombstone_is_never_found(library: Library) -> None:
    conversation = library.begin()
    await library.store(conversation, "kept plan")
    await library.store(conversation, "taken back plan", deleted_at=NOON)
    assert await library.find("plan") == ["kept plan"]


async def test_results_of_all_conversations_are_ordered_newest_first(library: Library) -> None:
    one, other = library.begin(), library.begin()
    await library.store_at(one, [(NOON + timedelta(minutes=n), f"tea {n}") for n in (1, 4, 5)])
    await library.store_at(other, [(NOON + timedelta(minutes=n), f"tea {n}") for n in (0, 2, 3, 6)])

    assert await library.find("tea") == [f"tea {n}" for n in (6, 5, 4, 3, 2, 1, 0)]
    assert await library.pages(["tea"], 3) == [
        ["tea 6", "tea 5", "tea 4"],
        ["tea 3", "tea 2", "tea 1"],
        ["tea 0"],
    ]


async def test_quiet_conversations_are_searched_too(library: Library) -> None:
    lively = library.begin()
    await library.store_at(lively, [(NOON + timedelta(hours=n), f"tea {n}") for n in range(0, 24, 2)])
    for n in range(1, 24, 2):
        await library.store(library.begin(), f"tea {n}", at=NOON + timedelta(hours=n))

    for limit in (1, 5, 100):
        pages = await library.pages(["tea"], limit)
        assert [c for page in pages for c in page] == [f"tea {n}" for n in range(23, -1, -1)]


async def test_a_message_stored_days_late_is_found_by_the_time_when_it_was_stored(library: Library) -> None:
    library.stamped = True
    await store_late(library)

    for limit in (1, 2, 3):
        pages = await library.pages(["tea"], limit)
        assert [c for page in pages for c in page] == ["tea 3", "tea 2", "tea 1"]


async def test_a_message_stored_days_late_by_an_older_worker_is_found_once(library: Library) -> None:
    await store_late(library)

    for limit in (1, 2, 3):
        pages = await library.pages(["tea"], limit)
        assert sorted(c for page in pages for c in page) == ["tea 1", "tea 2", "tea 3"]


async def store_late(library: Library) -> None:
    """Store three messages, of which the newest one was sent before the others."""
    delayed = library.begin()
    await library.store(delayed, "tea 3", created_at=NOON - timedelta(days=3))
    await library.store(library.begin(), "tea 2", at=NOON - timedelta(days=1))
    await library.store(library.begin(), "tea 1", at=NOON - timedelta(days=4))


async def test_a_last_page_that_is_full_has_no_next(library: Library) -> None:
    await library.store(library.begin(), "tea 1", "tea 2")
    assert await library.pages(["tea"], 2) == [["tea 2", "tea 1"]]


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("seed", SEEDS)
async def test_pages_of_any_size_miss_nothing_and_repeat_nothing(seed: int, library: Library) -> None:
    await assert_pages_are_whole(seed, library)


@pytest.mark.parametrize("seed", SEEDS)
async def test_pages_of_a_common_word_miss_nothing_and_repeat_nothing(
    seed: int, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_blocks, "MAX_BLOCKS", 4)
    monkeypatch.setattr(search_slices, "SLICE", 2)
    monkeypatch.setattr(search_spans, "ACTIVE", 1)
    await assert_pages_are_whole(seed, library)


async def test_further_pages_of_a_common_word_are_full_and_read_little(
    stack: Stack, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(database)
    monkeypatch.setattr(search_blocks, "MAX_BLOCKS", 50)
    stored = Library(database, "all")
    expected = []
    for number in range(80):
        conversation = stored.begin()
        times = [NOON + timedelta(minutes=n, seconds=number / 2) for n in range(70)]
        contents = [(at, f"tea {n} {number}") for n, at in enumerate(times)]
        await stored.store_at(conversation, contents)
        expected += contents
    start = NOON + timedelta(minutes=50) - timedelta(milliseconds=1)
    calls = DatabaseCalls()
    async with mongo.connect(stack.mongo_url, event_listeners=[calls]) as counted:
        # The other conversations have fifty messages each above this one.
        shown, cursor = [], write_cursor(Position(start, conversation, 51))
        for _ in range(6):
            found, cursor = await MongoSearch(counted).find(
                dict.fromkeys(stored.heads, 0), ["tea"], 20, cursor
            )
            shown.append([message.content for message in found])

    below = [each for each in expected if each[0] < start]
    newest_first = [content for _, content in sorted(below, reverse=True)]
    assert shown == [newest_first[start : start + 20] for start in range(0, 120, 20)]
    assert calls.counts[f"find {MESSAGES}"] < 6 * 20


async def assert_pages_are_whole(seed: int, library: Library) -> None:
    """Store messages of several conversations, and find them by pages of several sizes."""
    chance = random.Random(seed)
    expected = []
    for length in (1, 3, 30, 90):
        conversation = library.begin()
        # With few distinct times, many messages share one.
        times = sorted(NOON + timedelta(seconds=chance.randrange(20)) for _ in range(length))
        contents = [
            (at, f"{chance.choice(['tea', 'coffee'])} {conversation} {n}") for n, at in enumerate(times)
        ]
        await library.store_at(conversation, contents)
        expected += [(at, conversation, n, content) for n, (at, content) in enumerate(contents)]
    newest_first = [content for *_, content in sorted(expected, reverse=True)]
    for word in ("tea", "coffee"):
        for limit in (1, 3, 10, 100):
            shown = [content for page in await library.pages([word], limit) for content in page]
            assert shown == [content for content in newest_first if content.startswith(word)]
            both = [content for page in await library.pages([word, "7"], limit) for content in page]
            assert both == [content for content in shown if "7" in content]


@pytest.fixture
async def common(database: Database, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A library in which each word is common, and blocks come in small slices and by several queries."""
    monkeypatch.setattr(search_blocks, "MAX_BLOCKS", 0)
    monkeypatch.setattr(search_slices, "SLICE", 3)
    monkeypatch.setattr(search_spans, "ACTIVE", 2)
    for module in (search_blocks, search_windows):
        monkeypatch.setattr(module, "MANY", 3)
    await migrate(database)
    return Library(database)


@pytest.mark.parametrize("stamped", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
async def test_pages_cross_the_border_between_indexed_messages_and_others(
    seed: int, stamped: bool, common: Library
) -> None:
    chance, common.stamped = random.Random(seed), stamped
    expected = []
    conversations = [common.begin() for _ in range(8)]
    for round_ in range(6):
        for conversation in conversations:
            times = sorted(NOON + timedelta(seconds=60 * round_ + chance.randrange(60)) for _ in range(12))
            first = common.heads[conversation] + 1
            contents = [(at, f"tea {conversation} {seq}") for seq, at in enumerate(times, first)]
            await common.store_at(conversation, contents)
            expected += [(at, conversation, seq, text) for seq, (at, text) in enumerate(contents, first)]
            if chance.random() < 0.5:
                await common.index(conversation)
    newest_first = [content for *_, content in sorted(expected, reverse=True)]

    for limit in (1, 7, 100):
        pages = await common.pages(["tea"], limit)
        assert [content for page in pages for content in page] == newest_first


@pytest.mark.parametrize("most", [0, 1_000])
async def test_blocks_of_one_time_are_searched_in_the_order_of_their_numbers(
    most: int, common: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_blocks, "MAX_BLOCKS", most)
    conversations = [common.begin() for _ in range(3)]
    for conversation in conversations:
        await common.store_at(conversation, [(NOON, f"tea {conversation} {n}") for n in range(1, 320)])
        await common.index(conversation)
    expected = [f"tea {c} {n}" for c in sorted(conversations, reverse=True) for n in range(319, 0, -1)]

    for limit in (100, 7):
        assert [content for page in await common.pages(["tea"], limit) for content in page] == expected


@pytest.mark.parametrize("most", [0, 1_000])
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_worker_whose_clock_is_behind_keeps_no_message_out_of_a_page(
    seed: int, most: int, common: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_blocks, "MAX_BLOCKS", most)
    chance, expected = random.Random(seed + 3), set()
    for _ in range(4):
        conversation = common.begin()
        for n in range(10):
            at = NOON + timedelta(seconds=3 * n - chance.choice([0, 9]))
            times = [at + timedelta(milliseconds=each) for each in range(chance.randrange(10, 80))]
            contents = [f"tea {conversation} {each}" for each in range(n * 100, n * 100 + len(times))]
            await common.store_at(conversation, list(zip(times, contents, strict=True)))
            expected.update(contents)
        await common.index(conversation)

    for limit in (7, 100):
        found = [content for page in await common.pages(["tea"], limit) for content in page]
        assert len(found) == len(expected)
        assert set(found) == expected


async def test_edited_messages_of_a_common_word_are_found_in_their_place(common: Library) -> None:
    contents = [f"coffee {n}" if n % 7 else f"tea {n}" for n in range(130)]
    conversation = common.begin()
    await common.store(conversation, *contents)
    await common.index(conversation)
    await common.store(conversation, "tea 130", at=NOON + timedelta(minutes=5))
    for n in (3, 66, 125):
        await edit(common, conversation, n + 1, f"tea {n}")

    found = [n for n in range(130, -1, -1) if n in (3, 66, 125, 130) or n % 7 == 0]
    for limit in (2, 100):
        shown = [content for page in await common.pages(["tea"], limit) for content in page]
        assert shown == [f"tea {n}" for n in found]


async def edit(library: Library, conversation: str, seq: int, content: str) -> None:
    """Edit a message, which takes a revision."""
    head = await library.database[CONVERSATIONS].find_one_and_update(
        {"_id": conversation}, {"$inc": {"rev": 1}}, return_document=True
    )
    await library.database[MESSAGES].update_one(
        {"conversationId": conversation, "seq": seq}, {"$set": {"content": content, "rev": head["rev"]}}
    )


async def test_a_block_that_grows_while_a_search_reads_slices_is_not_missed(
    common: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = common.begin()
    await common.store(old, "old tea 1", "old tea 2")
    await common.index(old)
    for n in range(10):
        other = common.begin()
        await common.store(other, f"tea {n}", at=NOON + timedelta(minutes=n + 1))
        await common.index(other)
    find = search_blocks.SearchBlocks.find

    async def find_and_grow(*asked: Any, **how: Any) -> list[search_blocks.Block]:
        blocks = await find(*asked, **how)
        if common.heads[old] == 2:
            await common.store(old, "new coffee", at=NOON + timedelta(hours=1))
            await common.index(old)
        return blocks

    monkeypatch.setattr(search_blocks.SearchBlocks, "find", find_and_grow)
    expected = [*(f"tea {n}" for n in range(9, -1, -1)), "old tea 2", "old tea 1"]
    assert await common.find("tea") == expected


async def test_an_index_that_is_begun_anew_during_a_search_loses_no_match(
    common: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(10):
        conversation = common.begin()
        await common.store(conversation, f"tea {n}", at=NOON + timedelta(minutes=n))
        await common.index(conversation)
    find, calls = search_blocks.SearchBlocks.find, count(1)

    async def find_before_the_end(*asked: Any, **how: Any) -> list[search_blocks.Block]:
        if next(calls) == 3:
            await MongoSearchIndex(common.database).begin_anew()
        return await find(*asked, **how)

    monkeypatch.setattr(search_blocks.SearchBlocks, "find", find_before_the_end)
    assert await common.find("tea") == [f"tea {n}" for n in range(9, -1, -1)]


async def test_a_common_word_opens_only_the_newest_conversations_that_are_not_indexed(
    stack: Stack, common: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_blocks, "CONCURRENT", 1)
    monkeypatch.setattr(archive_search, "FIRST_WINDOW", 60)
    monkeypatch.setattr(archive_search, "WINDOW", 60)
    reads: dict[bool, int] = {}
    for stamped in (False, True):
        stored = Library(common.database)
        stored.stamped = stamped
        for n in range(60):
            conversation = stored.begin()
            await stored.store(conversation, "coffee", at=NOON - timedelta(hours=1))
            await stored.index(conversation)
            await stored.store(conversation, f"tea {n}", at=NOON + timedelta(seconds=n))
        calls = DatabaseCalls()
        async with mongo.connect(stack.mongo_url, event_listeners=[calls]) as counted:
            found, _ = await MongoSearch(counted).find(dict.fromkeys(stored.heads, 0), ["tea"], 5, None)
        assert [message.content for message in found] == [f"tea {n}" for n in range(59, 54, -1)]
        reads[stamped] = calls.counts[f"find {MESSAGES}"]

    assert reads[True] == 1
    assert reads[False] > 1


@pytest.mark.usefixtures("narrow")
async def test_the_cursor_continues_past_the_limit_of_one_search(unindexed: Library) -> None:
    one, other = unindexed.begin(), unindexed.begin()
    await unindexed.store(one, "the needle", *(["hay"] * 100))
    await unindexed.store(other, *(["hay"] * 60), "another needle", *(["hay"] * 100))

    pages = await unindexed.pages(["needle"])

    assert pages[0] == []
    assert len(pages) > 5
    assert [c for page in pages for c in page] == ["another needle", "the needle"]


@pytest.mark.usefixtures("narrow")
async def test_a_search_that_takes_too_long_goes_on_by_the_cursor(
    unindexed: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_search, "MAX_SECONDS", 0.0)
    for _ in range(2):
        await unindexed.store(unindexed.begin(), *(f"tea {n}" for n in range(20)))

    pages = await unindexed.pages(["tea"], 15)

    assert max(map(len, pages)) < 15
    assert sorted(c for page in pages for c in page) == sorted(f"tea {n}" for n in range(20) for _ in "ab")


async def test_an_expired_search_reads_little_of_the_remaining_conversations(
    unindexed: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_search, "MAX_SECONDS", -1.0)
    for _ in range(3):
        await unindexed.store(unindexed.begin(), *(f"tea {n}" for n in range(60)))

    pages = await unindexed.pages(["tea"])

    assert max(map(len, pages)) <= 3 * archive_search.LEAST_WINDOW
    assert sorted(c for page in pages for c in page) == sorted(f"tea {n}" for n in range(60) for _ in "abc")


async def test_a_part_of_a_long_word_is_no_match(library: Library) -> None:
    contents = [f"internationali{'sz'[n % 2]}ation {n}" for n in range(200)]
    await library.store(library.begin(), *contents)
    assert await library.find("internationalization") == contents[::-2]


async def test_a_user_has_at_most_two_concurrent_searches(
    library: Library, database: Any, reads: SharedReads
) -> None:
    ann, bob = Person(id=str(uuid.uuid4())), Person(id=str(uuid.uuid4()))
    slow = SlowSearch(database)
    service = search_service(database, reads, slow)
    under_way = [asyncio.create_task(service.find(ann, Search(text="tea"))) for _ in range(2)]
    await eventually(lambda: slow.begun == 2)

    with pytest.raises(RateLimited) as refused:
        await service.find(ann, Search(text="tea"))
    assert refused.value.retry_after
    others = asyncio.create_task(service.find(bob, Search(text="tea")))
    await eventually(lambda: slow.begun == 3)

    under_way[0].cancel()
    await asyncio.wait(under_way[:1])
    next_ = asyncio.create_task(service.find(ann, Search(text="tea")))
    await eventually(lambda: slow.begun == 4)
    slow.go.set()
    for search in (under_way[1], others, next_):
        assert (await search).items == ()


class SlowSearch(MongoSearch):
    """A search that blocks until the test lets it go on."""

    def __init__(self, database: Any) -> None:
        super().__init__(database)
        self.begun = 0
        self.go = asyncio.Event()

    async def find(self, *asked: Any) -> tuple[list[Message], str | None]:
        self.begun += 1
        await self.go.wait()
        return await super().find(*asked)


def search_service(database: Any, reads: SharedReads, search: MongoSearch) -> SearchService:
    memberships, messages = MongoMemberships(database, reads), MongoMessages(database, reads)
    access = Access(MembershipCache(), memberships, messages)
    history = HistoryService(
        access,
        messages,
        MongoConversations(database, reads),
        MongoPeople(database, reads, Background().spawn),
    )
    return SearchService(access, memberships, search, history)


@pytest.mark.usefixtures("narrow")
async def test_messages_that_arrive_between_pages_shift_no_page(library: Library) -> None:
    one, other = library.begin(), library.begin()
    await library.store(one, *(f"tea {n}" for n in range(40)))
    await library.store(other, *(f"tea {n}" for n in range(40, 80)), at=NOON + timedelta(seconds=20))
    whole = await library.find("tea")
    shown: list[str] = []
    cursor = None
    while True:
        found, cursor = await library.search.find({one: 0, other: 0}, ["tea"], 7, cursor)
        shown += [m.content for m in found]
        if cursor is None:
            break
        for conversation in (one, other):
            await library.store(conversation, *(["new tea"] * 5), at=NOON + timedelta(hours=1))
    assert shown == whole


@pytest.mark.usefixtures("narrow")
async def test_a_clock_that_was_set_back_loses_no_message(library: Library) -> None:
    conversation = library.begin()
    await store_with_clock_set_back(library, conversation)

    for limit in (1, 7, 100):
        pages = await library.pages(["tea"], limit)
        assert [c for page in pages for c in page] == [f"tea {n}" for n in range(59, -1, -1)]


@pytest.mark.usefixtures("narrow")
async def test_a_clock_that_was_set_back_harms_no_other_conversation(library: Library) -> None:
    other = library.begin()
    await library.store(other, *(f"other tea {n}" for n in range(30)), at=NOON + timedelta(seconds=5))
    for _ in range(2):
        await store_with_clock_set_back(library, library.begin())

    for limit in (5, 100):
        shown = [content for page in await library.pages(["tea"], limit) for content in page]
        of_other = [content for content in shown if content.startswith("other")]
        assert of_other == [f"other tea {n}" for n in range(29, -1, -1)]
        assert max(shown.count(content) for content in shown) <= 2


async def store_with_clock_set_back(library: Library, conversation: str) -> None:
    await library.store(conversation, *(f"tea {n}" for n in range(30)))
    await library.store(conversation, *(f"tea {n}" for n in range(30, 60)), at=NOON + timedelta(seconds=15))


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "_",
        "__",
        "2026-05-01T12:00:00_c_1",
        "2026-05-01T12:00:00Z_c",
        "2026-05-01T12:00:00Z_c_",
        "2026-05-01T12:00:00Z_c_-1",
        "2026-05-01T12:00:00Z_c_1e3",
        "2026-05-01T12:00:00Z_c_" + "9" * 40,
        "2026-13-01T12:00:00Z_c_1",
        "0001-01-01T00:00:00+14:00_c_1",
    ],
)
async def test_an_invalid_cursor_is_refused(cursor: str, library: Library) -> None:
    await library.store(library.begin(), "tea")
    with pytest.raises(Invalid) as refused:
        await library.search.find(dict.fromkeys(library.heads, 0), ["tea"], 10, cursor)
    assert list(refused.value.details or ()) == ["before"]


async def test_a_cursor_in_a_conversation_that_the_user_left_continues(library: Library) -> None:
    left, kept = library.begin(), library.begin()
    await library.store(left, "tea 1", "tea 3", at=NOON)
    await library.store(kept, "tea 0", "tea 2", at=NOON - timedelta(milliseconds=500))
    found, cursor = await library.search.find({left: 0, kept: 0}, ["tea"], 1, None)
    assert [m.content for m in found] == ["tea 3"]

    found, _ = await library.search.find({kept: 0}, ["tea"], 5, cursor)

    assert [m.content for m in found] == ["tea 2", "tea 0"]
