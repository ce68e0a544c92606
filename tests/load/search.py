"""`python -m load.search`: search in many messages of many conversations, and what the index costs."""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from pymongo import WriteConcern

from clients.chat import token
from clients.database import open_database
from load.arguments import Arguments
from load.connects import cpu_of
from load.progress import Progress
from parley.persistence_worker.events_redis import RedisEventPublisher
from parley.persistence_worker.group_commit import Persists
from parley.persistence_worker.persist import Persister
from parley.persistence_worker.primary_connection import PrimaryConnection
from parley.persistence_worker.search.index_mongo import MongoSearchIndex
from parley.persistence_worker.search.indexer import Indexer, NotingPersister, index_changes
from parley.persistence_worker.search.rebuild import catch_up
from parley.persistence_worker.store_mongo import MongoHeads, MongoMemberships, MongoMessages
from parley.shared.cancellation import end
from parley.shared.documents import (
    CONVERSATIONS,
    MEMBERSHIPS,
    MESSAGES,
    SEARCH_BLOCKS,
    SEARCH_WORDS,
    to_document,
)
from parley.shared.migrations import migrate
from parley.shared.model import Conversation, Digest, Membership, Message, Person, new_id, now
from parley.shared.records import NewMessage
from parley.stack import Stack

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
READER = "reader"
WORDS = 50_000
"""Words of the language; the n-th is used in proportion to 1/n."""
AT_ONCE = 5_000
RARE = 3
"""Messages that have the same rare word."""
BATCH = 100
TEXT_INDEX = "load_text"
SHOWN = 20
INSERT_SECONDS = 10.0
SYLLABLES = [a + b for a in "bcdfghjklmnprstvwz" for b in ("a", "e", "i", "o", "u", "an", "er", "in", "os")]


@dataclass
class Figures:
    """Seconds of one step, and those of processor time, of this process and of MongoDB."""

    seconds: float
    own: float
    database: float


class Language:
    """Words of a made-up language, with the frequencies of a natural one."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        words: dict[str, None] = {}
        while len(words) < WORDS:
            # Frequent words are short.
            syllables = 1 + min(4, len(words) // 60) * (chance.random() < 0.8)
            words["".join(chance.choices(SYLLABLES, k=syllables + chance.randrange(2)))] = None
        self.words = list(words)
        self._weights = list(accumulate(1 / (n + 3) for n in range(WORDS)))

    def text(self) -> str:
        """Return a message of 1 to 20 words."""
        length = min(20, 1 + int(self._chance.expovariate(1 / 8)))
        return " ".join(self._chance.choices(self.words, cum_weights=self._weights, k=length))


class Archive:
    """Messages of many conversations, written to the database past the services."""

    def __init__(self, database: Any, messages: int, conversations: int) -> None:
        self.database = database
        self._chance = random.Random(1)
        self.language = Language(self._chance)
        self.messages = messages
        self.ids = [new_id() for _ in range(conversations)]
        self._seqs = dict.fromkeys(self.ids, 0)
        self._last: dict[str, Message] = {}
        self.rare = [f"zqx{n}v{self._chance.randrange(10**6)}" for n in range(50)]
        places = self._chance.sample(range(messages), min(messages, RARE * len(self.rare)))
        self._marked = {place: self.rare[n % len(self.rare)] for n, place in enumerate(places)}

    async def store(self, progress: Progress) -> None:
        """Store everything; messages of all conversations are mixed."""
        await self._store_conversations()
        collection = self.database[MESSAGES].with_options(write_concern=WriteConcern(1))
        documents = map(to_document, self._messages())
        done = 0
        while some := list(islice(documents, AT_ONCE)):
            await collection.insert_many(some, ordered=False)
            done += len(some)
            progress.show("messages", done, self.messages)
        await self._move_heads()

    def _messages(self) -> Iterator[Message]:
        for n in range(self.messages):
            conversation_id = self._chance.choice(self.ids)
            seq = self._seqs[conversation_id] = self._seqs[conversation_id] + 1
            text = self.language.text()
            at = BEGINNING + timedelta(seconds=n)
            message = Message(
                id=new_id(),
                conversation_id=conversation_id,
                sender_id="writer",
                seq=seq,
                rev=seq,
                content=f"{text} {self._marked[n]}" if n in self._marked else text,
                created_at=at,
                stored_at=at,
            )
            self._last[conversation_id] = message
            yield message

    async def _store_conversations(self) -> None:
        new = [
            Conversation(id=i, kind="group", created_by=READER, created_at=BEGINNING, title="Load")
            for i in self.ids
        ]
        members = [
            Membership(conversation_id=i, user_id=user, joined_at=BEGINNING)
            for i in self.ids
            for user in (READER, "writer")
        ]
        await self.database[CONVERSATIONS].insert_many(map(to_document, new))
        await self.database[MEMBERSHIPS].insert_many(map(to_document, members))

    async def _move_heads(self) -> None:
        for conversation_id, message in self._last.items():
            digest = Digest(
                id=message.id,
                seq=message.seq,
                sender_id=message.sender_id,
                content=message.content,
                type=message.type,
                created_at=message.created_at,
            )
            stored = to_document(digest)
            last = {"id": stored.pop("_id"), **stored}
            head = {"lastSeq": message.seq, "rev": message.rev, "lastMessage": last}
            await self.database[CONVERSATIONS].update_one({"_id": conversation_id}, {"$set": head})


async def build(archive: Archive, progress: Progress) -> Figures:
    """Index everything at full speed."""
    index, mongod = MongoSearchIndex(archive.database), await pid_of(archive.database)
    began = time.perf_counter(), time.process_time(), cpu_of(mongod)
    for start in range(0, len(archive.ids), 100):
        left: Sequence[str] = archive.ids[start : start + 100]
        while left:
            left = await index_changes(index, left)
        progress.show("indexed conversations", min(start + 100, len(archive.ids)), len(archive.ids))
    ended = time.perf_counter(), time.process_time(), cpu_of(mongod)
    return Figures(*(after - before for before, after in zip(began, ended, strict=True)))


async def pid_of(database: Any) -> int:
    """Return the process id of MongoDB."""
    return int((await database.command("serverStatus"))["pid"])


class Searcher:
    """Searches through the gateway as a user of all conversations."""

    def __init__(self, http: aiohttp.ClientSession, url: str, secret: str, processes: Sequence[int]) -> None:
        self._http, self._url, self._processes = http, f"{url}/search", processes
        self._headers = {"Authorization": f"Bearer {token(secret, READER)}"}

    async def page(self, text: str, **query: Any) -> dict[str, Any]:
        params = {"q": text, "limit": SHOWN, **query}
        async with self._http.get(self._url, params=params, headers=self._headers) as answer:
            assert answer.status == 200, await answer.text()
            page: dict[str, Any] = await answer.json()
            return page

    async def _first(self, word: str, least: int, query: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the first messages: of several pages, if one search may not read as much as it takes."""
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {"nextCursor": ""}
        while page["nextCursor"] is not None and (not found or len(found) < least):
            before = {"before": page["nextCursor"]} if page["nextCursor"] else {}
            page = await self.page(word, **query, **before)
            found += page["messages"]
        return found

    async def measure(self, words: Sequence[str], least: int, **query: Any) -> str:
        """Search for each word; return times in milliseconds.

        Raises:
            AssertionError: The first page of a word has fewer messages than there must be.
        """
        seconds = []
        before = sum(map(cpu_of, self._processes))
        for word in words:
            began = time.perf_counter()
            found = await self._first(word, least, query)
            seconds.append(time.perf_counter() - began)
            assert len(found) >= least, (word, len(found))
            assert least or not found, (word, found)
            assert all(word in message["content"] for message in found), word
        ordered = sorted(1_000 * each for each in seconds)
        used = 1_000 * (sum(map(cpu_of, self._processes)) - before) / len(words)
        p95 = ordered[int(0.95 * len(ordered))]
        return f"p50 {statistics.median(ordered):6.1f}  p95 {p95:6.1f}  processor {used:6.1f} ms"


async def bytes_of(archive: Archive, name: str) -> tuple[int, int]:
    """Return the bytes of a collection's documents and of its indexes, on disk."""
    statistics_ = await archive.database.command("collStats", name)
    return statistics_["storageSize"], statistics_["totalIndexSize"]


class Inserts:
    """Persists batches as a worker does, as fast as they go, with an indexer beside or without."""

    def __init__(self, archive: Archive, persister: Persister, mongod: int) -> None:
        self._archive, self._persister, self._mongod = archive, persister, mongod
        self._chance = random.Random(2)
        self.index = MongoSearchIndex(archive.database)

    async def run(self, seconds: float, *, indexed: bool) -> tuple[float, float]:
        """Return messages per second, and microseconds of processor time for each."""
        await catch_up(self.index, asyncio.Event(), lambda _: None)
        # The server has yet to write what that changed, which would count as this run's.
        await self._archive.database.client.admin.command("fsync")
        indexer = Indexer(self.index, lambda _: False)
        work = asyncio.create_task(indexer.run()) if indexed else None
        persister: Persists = NotingPersister(self._persister, indexer) if indexed else self._persister
        began, cpu, stored = time.perf_counter(), self._cpu(), 0
        while time.perf_counter() - began < seconds:
            await persister.persist([self._record() for _ in range(BATCH)])
            stored += BATCH
        rate, used = stored / (time.perf_counter() - began), 1e6 * (self._cpu() - cpu) / stored
        if work is not None:
            await end([work])
        return rate, used

    def _cpu(self) -> float:
        return time.process_time() + cpu_of(self._mongod)

    def _record(self) -> NewMessage:
        message = Message(
            id=str(uuid.uuid4()),
            conversation_id=self._chance.choice(self._archive.ids),
            sender_id="writer",
            content=self._archive.language.text(),
            created_at=now(),
        )
        return NewMessage(id=message.id, message=message, sender=Person(id="writer"))


async def compare_inserts(archive: Archive, stack: Stack, rounds: int, progress: Progress) -> str:
    """Insert without and with an indexer, in turns; return the medians."""
    publisher = RedisEventPublisher(stack.redis_url)
    figures: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    with closing(PrimaryConnection(archive.database)) as primary:
        persister = Persister(
            MongoMessages(primary),
            MongoHeads(primary),
            MongoMemberships(primary),
            publisher,
        )
        inserts = Inserts(archive, persister, await pid_of(archive.database))
        for n in range(rounds):
            # By turns: the database grows, and what came before still occupies it.
            for indexed in ((False, True), (True, False))[n % 2]:
                figures[indexed].append(await inserts.run(INSERT_SECONDS, indexed=indexed))
            progress.show("rounds of inserts", n + 1, rounds)
    await publisher.close()
    rates = {indexed: statistics.median(rate for rate, _ in each) for indexed, each in figures.items()}
    used = {indexed: statistics.median(cpu for _, cpu in each) for indexed, each in figures.items()}
    return (
        f"inserts: {rates[False]:,.0f}/s without an indexer, {rates[True]:,.0f}/s beside one "
        f"({100 * (rates[True] / rates[False] - 1):+.1f} %); {used[False]:.0f} and {used[True]:.0f} us"
    )


async def compare_text_index(archive: Archive, count: int) -> None:
    """Build MongoDB's own text index of the same messages, which finds whole words only, and search in it."""
    messages, began = archive.database[MESSAGES], time.perf_counter()
    await messages.create_index([("content", "text")], name=TEXT_INDEX, default_language="none")
    size = (await archive.database.command("collStats", MESSAGES))["indexSizes"][TEXT_INDEX]
    built = time.perf_counter() - began
    print(f"MongoDB's text index: {size / archive.messages:.0f} B a message, built in {built:.0f} s")
    chance, words = random.Random(4), archive.language.words
    for name, of in (
        ("very common", chance.sample(words[:50], count)),
        ("rare", archive.rare[:count]),
        ("absent", ["qqzzx"]),
    ):
        began = time.perf_counter()
        for word in of:
            query = {"$text": {"$search": word}, "conversationId": {"$in": archive.ids}}
            await messages.find(query).sort("storedAt", -1).limit(SHOWN).to_list(None)
        print(f"  {name:<22} {1_000 * (time.perf_counter() - began) / len(of):6.1f} ms")
    await messages.drop_index(TEXT_INDEX)


async def searches(archive: Archive, searcher: Searcher, count: int) -> None:
    """Measure searches for words of several frequencies."""
    words, chance = archive.language.words, random.Random(4)
    kinds: list[tuple[str, list[str], int]] = [
        ("very common", chance.sample(words[:50], count), SHOWN),
        ("common", chance.sample(words[50:500], count), SHOWN),
        ("middling", chance.sample(words[2_000:6_000], count), 1),
        ("rare", archive.rare[:count], RARE),
        ("a part of a rare one", [word[1:8] for word in archive.rare[:count]], 1),
        ("absent", [f"qqzz{n}x" for n in range(count)], 0),
    ]
    for name, of, least in kinds:
        print(f"  {name:<22} {await searcher.measure(of, least)}", flush=True)
    one = {"conversationId": archive.ids[0]}
    print(f"  {'absent, one of them':<22} {await searcher.measure(kinds[-1][1], 0, **one)}", flush=True)


async def run(options: argparse.Namespace, stack: Stack) -> None:
    """Store, index, search, insert, and search again while some messages are not indexed."""
    progress = Progress()
    stack.stop("worker-1")
    async with AsyncExitStack() as opened:
        database = await opened.enter_async_context(open_database(stack.mongo_url))
        http = await opened.enter_async_context(aiohttp.ClientSession())
        await migrate(database)
        archive = Archive(database, options.messages, options.conversations)
        await archive.store(progress)
        processes = [await pid_of(database), stack.pid("gateway-1")]
        searcher = Searcher(http, stack.gateway_urls[0], stack.jwt_secret, processes)
        began = time.perf_counter()
        page = await searcher.page("qqzz0x")
        print(f"without an index: {len(page['messages'])} messages in {time.perf_counter() - began:.2f} s")
        built = await build(archive, progress)
        own, mongod = (1e6 * each / archive.messages for each in (built.own, built.database))
        print(
            f"indexed in {built.seconds:.0f} s: a message takes {own:.0f} us, and {mongod:.0f} us of MongoDB"
        )
        for name in (MESSAGES, SEARCH_BLOCKS, SEARCH_WORDS):
            stored, indexes = await bytes_of(archive, name)
            each, index = stored / archive.messages, indexes / archive.messages
            print(f"  {name:<14} {each:6.0f} B a message, its indexes {index:.0f} B")
        print(f"{options.messages:,} messages, {options.conversations:,} conversations, all indexed:")
        await searches(archive, searcher, options.searches)
        if options.text_index:
            await compare_text_index(archive, options.searches)
        print(await compare_inserts(archive, stack, options.rounds, progress))
        print("after these inserts, of which the last are not indexed:")
        await searches(archive, searcher, options.searches)


def main() -> None:
    """Parse the command line, and measure on a stack of its own."""
    parser = Arguments(prog="make search", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--conversations", type=int, default=2_000)
    parser.add_argument("--searches", type=int, default=50, help="searches of each kind, at most 50")
    parser.add_argument("--rounds", type=int, default=5, help="of inserts without an indexer and beside one")
    parser.add_argument("--text-index", action="store_true", help="compare with MongoDB's own text index")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-search-") as directory:
        settings = {"RATE_LIMITS": "off"}
        with Stack(Path(directory), gateways=1, workers=1, settings=settings) as stack:
            uvloop.run(run(options, stack))


if __name__ == "__main__":
    main()
