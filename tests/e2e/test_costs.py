"""The costs of a message: the same few documents in any group, and work only at its members' gateways."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)
from redis.asyncio import Redis

from clients.chat import ChatUsers, eventually
from clients.committed_store import worker_store
from clients.recording_clients import RecordingClient, RecordingClients
from parley.persistence_worker.persist import Persister
from parley.shared import model, records, rooms
from parley.shared.events import Event
from parley.shared.mongo import Database
from parley.shared.search_index import INDEXED
from parley.stack import Stack

SMALL, LARGE = 2, 500
PER_MESSAGE = {"messages": 1, "conversations": 1, "memberships": 1}
"""The message itself, the conversation's head, and the sender's own counter."""

Snapshot = dict[tuple[str, Any], dict[str, Any]]


@pytest.fixture
async def clients(users: ChatUsers) -> AsyncIterator[RecordingClients]:
    async with RecordingClients(users) as clients:
        yield clients


def names(size: int) -> list[str]:
    return [f"member-{number}" for number in range(size)]


async def everything(database: Database) -> Snapshot:
    """Return all documents but those of files, which no message writes, and those of the search index.

    The index is written beside the messages' way, for many messages at once.
    """
    names = await database.list_collection_names()
    return {
        (name, document["_id"]): {field: value for field, value in document.items() if field != INDEXED}
        for name in names
        if not name.startswith(("attachments", "search_"))
        async for document in database[name].find()
    }


def written(before: Snapshot, after: Snapshot) -> Counter[str]:
    """Return the number of new and changed documents by collection."""
    assert before.keys() <= after.keys()
    return Counter(key[0] for key, document in after.items() if before.get(key) != document)


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_message_writes_three_documents_whatever_the_group(
    users: ChatUsers, clients: RecordingClients, database: Database, size: int
) -> None:
    group = await clients.create_group(*names(size))
    sender, reader = await clients.connect_all(["member-0", "member-1"], [users.url])
    await reader.join(group)
    await send_one(sender, group, reader)
    before = await everything(database)

    await send_one(sender, group, reader)

    assert written(before, await everything(database)) == PER_MESSAGE


async def send_one(sender: RecordingClient, group: str, reader: RecordingClient) -> None:
    """Send a message, and wait until it is delivered and counted, which is after all writes."""
    count = len(reader.received[group])
    assert (await sender.send(group, f"message {count}"))["success"]
    await eventually(lambda: len(reader.received[group]) > count and reader.unread.get(group) == count + 1)


class Commands(CommandListener):
    """Counts a driver's commands by name, and the documents written by collection."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.documents: Counter[str] = Counter()
        self._targets: dict[int, str] = {}

    def started(self, event: CommandStartedEvent) -> None:
        self.asked[event.command_name] += 1
        self._targets[event.request_id] = str(event.command[event.command_name])

    def succeeded(self, event: CommandSucceededEvent) -> None:
        target = self._targets.pop(event.request_id)
        if event.command_name in ("insert", "update", "delete"):
            self.documents[target] += event.reply["n"]

    def failed(self, event: CommandFailedEvent) -> None:
        raise AssertionError(f"{event.command_name} failed: {event.failure}")


class Announced:
    """`Announcer` that counts its events."""

    def __init__(self) -> None:
        self.events = 0

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        self.events += sum(map(len, events_by_room.values()))


async def test_a_batch_asks_the_same_of_the_database_whatever_the_group(
    stack: Stack, clients: RecordingClients
) -> None:
    costs = [
        await cost(stack, await clients.create_group(*names(size)), clients, batch=20)
        for size in (SMALL, LARGE)
    ]

    small, large = costs
    assert small == large
    documents, asked, events = small
    assert documents == {"messages": 20, "conversations": 1, "memberships": 1}
    assert events == 20
    print(f"a batch of 20 by one sender: {dict(asked)}")
    assert asked.total() <= 5


async def test_a_batch_of_changes_asks_no_more_than_one_change(
    stack: Stack, clients: RecordingClients
) -> None:
    group = await clients.create_group(*names(SMALL))
    commands, announced = Commands(), Announced()
    async with worker_store(stack.mongo_url, commands) as (database, store):
        owner = await database.memberships.find_one({"conversationId": group, "role": "owner"})
        assert owner is not None
        persister = Persister(*store, announced)
        sent = [send(group, owner["userId"]) for _ in range(20)]
        await persister.persist(sent)
        asked = []
        for batch in (sent[:1], sent):
            commands.asked.clear()
            await persister.persist([edit(each) for each in batch])
            asked.append(Counter(commands.asked))

    assert asked[0] == asked[1]
    assert asked[1].total() <= 5
    assert announced.events == 20 + 1 + 20


def edit(sent: records.NewMessage) -> records.Edit:
    return records.Edit(
        id=model.new_id(),
        conversation_id=sent.conversation_id,
        message_id=sent.message.id,
        user=sent.sender,
        content="edited",
        at=model.now(),
    )


async def cost(
    stack: Stack, group: str, clients: RecordingClients, *, batch: int
) -> tuple[Counter[str], Counter[str], int]:
    """Return the documents written, commands and events for a batch of one sender's messages."""
    commands, announced = Commands(), Announced()
    async with worker_store(stack.mongo_url, commands) as (database, store):
        owner = await database.memberships.find_one({"conversationId": group, "role": "owner"})
        assert owner is not None
        persister = Persister(*store, announced)
        commands.asked.clear()
        await persister.persist([send(group, owner["userId"]) for _ in range(batch)])
        asked = Counter(commands.asked)
    return commands.documents, asked, announced.events


def send(group: str, user_id: str) -> records.NewMessage:
    message = model.Message(
        id=model.new_id(),
        conversation_id=group,
        sender_id=user_id,
        content="a message",
        created_at=model.now(),
    )
    return records.NewMessage(id=model.new_id(), message=message, sender=model.Person(id=user_id))


async def test_a_gateway_without_a_member_is_not_even_subscribed(
    stack: Stack, users: ChatUsers, clients: RecordingClients
) -> None:
    group = await clients.create_group("alice", "bob", "carol")
    first, second = stack.gateway_urls
    alice, bob = await clients.connect_all(["alice", "bob"], [first])
    await bob.join(group)

    async with Redis.from_url(stack.redis_url) as redis:

        async def subscribed() -> int:
            ((_, nodes),) = await redis.pubsub_numsub(rooms.channel(rooms.conversation(group)))
            return int(nodes)

        assert await subscribed() == 1
        await alice.send(group, "for one node")
        await eventually(lambda: len(bob.received[group]) == 1)
        assert await subscribed() == 1
        carol = await clients.connect("carol", second)
        assert await subscribed() == 2
        await carol.join(group)
        await alice.send(group, "for two")
        await eventually(lambda: len(carol.received[group]) == 1 and len(bob.received[group]) == 2)
