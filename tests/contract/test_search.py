"""Search through its port, over a real database: results, their order, and the limits of one search."""

import asyncio
import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, repeat
from typing import Any

import pytest

from clients.chat import eventually
from clients.local_gateway import DatabaseCalls
from parley.gateway.adapters.mongo import search as archive_search
from parley.gateway.adapters.mongo import search_blocks, search_spans
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
from parley.shared.model import Conversation, Digest, Message, Person
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
    """

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
        await self.move(conversation_id, max(at for at, _ in contents))
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
            created_at=at,
            stored_at=at,
            **more,
        )

    async def move(self, conversation_id: str, at: datetime) -> None:
        """Set the time of the conversation's last message."""
        seq = self.heads[conversation_id]
        last = Digest(id="last", seq=seq, sender_id="ann", content="", type="text", created_at=at)
        head = Conversation(
            id=conversation_id,
            kind="group",
            created_by="ann",
            created_at=NOON,
            last_seq=seq,
            rev=seq,
            last_message=last,
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


async def test_a_message_stored_late_is_found_once(library: Library) -> None:
    delayed = library.begin()
    await library.store(delayed, "tea 2")
    await library.move(delayed, NOON - timedelta(days=3))
    await library.store(library.begin(), "tea 3", at=NOON - timedelta(days=1))
    await library.store(library.begin(), "tea 1", at=NOON - timedelta(days=4))

    for limit in (1, 2, 3):
        pages = await library.pages(["tea"], limit)
        assert [c for page in pages for c in page] == ["tea 3", "tea 2", "tea 1"]


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
    monkeypatch.setattr(search_spans, "ENOUGH", 2)
    monkeypatch.setattr(search_spans, "ACTIVE", (1, 2))
    await assert_pages_are_whole(seed, library)


async def test_further_pages_of_a_common_word_are_full_and_read_little(
    stack: Stack, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(database)
    monkeypatch.setattr(search_blocks, "MAX_BLOCKS", 50)
    monkeypatch.setattr(search_spans, "MAX_BLOCKS", 50)
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
