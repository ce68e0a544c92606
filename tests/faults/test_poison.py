"""Records that are unreadable, unknown or refused by the store do not affect others."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from clients.broker import Exchange
from clients.chat import ChatUsers, eventually
from clients.invariants import assert_numbered, assert_unread_counts
from clients.newer import grow, items_of, seal_newer
from clients.poison import BEFORE_TIME
from clients.recording_clients import RecordingClient, RecordingClients
from clients.workers import DeadLetters, PartitionShares
from parley.shared import model, records
from parley.shared.mongo import Database
from parley.stack import Stack


@pytest.fixture
async def group(clients: RecordingClients) -> str:
    return await clients.create_group("alice", "bob")


@pytest.fixture
async def alice(clients: RecordingClients, group: str) -> RecordingClient:
    alice = await clients.connect("alice")
    await alice.join(group)
    return alice


@pytest.fixture
async def exchange(fragile: Stack) -> AsyncIterator[Exchange]:
    async with Exchange(fragile) as exchange:
        yield exchange


def record(alice: RecordingClient, group: str, content: str) -> records.NewMessage:
    message = model.Message(
        id=model.new_id(),
        conversation_id=group,
        sender_id=alice.user_id,
        content=content,
        created_at=model.now(),
        temp_id=content[:10],
    )
    return records.NewMessage(id=model.new_id(), message=message, sender=model.Person(id=alice.user_id))


async def contents(database: Database, group: str) -> list[str]:
    messages = await database.messages.find({"conversationId": group}).sort("seq", 1).to_list(None)
    assert_numbered(messages)
    return [message["content"] for message in messages]


async def letter(dead_letters: DeadLetters) -> tuple[bytes, str]:
    """Return the only dead letter's body and reason."""
    found: list[Any] = []

    async def has_come() -> bool:
        found.extend(await dead_letters.take())
        return bool(found)

    await eventually(has_come)
    assert len(found) == 1
    return found[0].body, str(found[0].headers["x-reason"])


async def test_garbage_is_dead_lettered_and_counted(
    exchange: Exchange,
    alice: RecordingClient,
    group: str,
    database: Database,
    dead_letters: DeadLetters,
    shares: PartitionShares,
) -> None:
    before = await shares.dead_letters()
    await alice.send(group, "before")
    await exchange.publish(group, b"\xc1garbage")
    await alice.send(group, "after")

    body, reason = await letter(dead_letters)
    assert body == b"\xc1garbage"
    await eventually(lambda: _have_dead_lettered(shares, before + 1))
    assert "MessagePack" in reason
    await eventually(lambda: len(alice.received[group]) == 2)
    assert await contents(database, group) == ["before", "after"]


async def _have_dead_lettered(shares: PartitionShares, count: int) -> bool:
    return await shares.dead_letters() == count


async def test_an_unreadable_record_does_not_affect_its_neighbours(
    exchange: Exchange,
    users: ChatUsers,
    alice: RecordingClient,
    group: str,
    database: Database,
    dead_letters: DeadLetters,
) -> None:
    good = [msgspec.msgpack.encode(record(alice, group, content)) for content in ("one", "two")]
    bad = msgspec.msgpack.encode({"type": "new", "id": 7})
    await exchange.publish(group, msgspec.msgpack.encode([msgspec.Raw(r) for r in (good[0], bad, good[1])]))

    body, reason = await letter(dead_letters)
    assert msgspec.msgpack.decode(body) == [{"type": "new", "id": 7}]
    assert "id" in reason
    await eventually(lambda: len(alice.received[group]) == 2)
    assert await contents(database, group) == ["one", "two"]
    await assert_unread_counts(database, users, group)


async def test_a_record_that_the_store_refuses_does_not_affect_its_neighbours(
    exchange: Exchange,
    users: ChatUsers,
    alice: RecordingClient,
    group: str,
    database: Database,
    dead_letters: DeadLetters,
) -> None:
    wanted = [msgspec.to_builtins(record(alice, group, content)) for content in ("one", "bad", "two")]
    wanted[1]["message"]["createdAt"] = BEFORE_TIME
    await exchange.publish(group, msgspec.msgpack.encode(wanted))

    _, reason = await letter(dead_letters)
    assert "OverflowError" in reason
    await eventually(lambda: len(alice.received[group]) == 2)
    assert await contents(database, group) == ["one", "two"]
    await eventually(lambda: alice.failures)
    ((event, payload),) = alice.failures
    assert (event, payload["messageId"]) == ("messageFailed", wanted[1]["message"]["id"])
    assert payload["error"]["retryable"] is False
    await assert_unread_counts(database, users, group)


async def test_records_of_a_newer_version_are_stored_and_unknown_kinds_dead_lettered(
    exchange: Exchange,
    users: ChatUsers,
    alice: RecordingClient,
    group: str,
    database: Database,
    dead_letters: DeadLetters,
    shares: PartitionShares,
) -> None:
    unknown = await shares.unknown_kinds()
    sent = [record(alice, group, content) for content in ("one", "reaction", "two")]
    one, reaction, two = (grow(item) for item in items_of(records.pack(sent)))
    reaction["type"] = "reaction"
    await exchange.publish(group, seal_newer([one, reaction, two]))

    body, reason = await letter(dead_letters)
    assert msgspec.msgpack.decode(body)[1:] == ["99.0.0", [reaction]]
    assert "'reaction'" in reason
    await eventually(lambda: len(alice.received[group]) == 2)
    assert await contents(database, group) == ["one", "two"]
    await eventually(lambda: alice.failures)
    ((event, payload),) = alice.failures
    assert (event, payload["messageId"]) == ("messageFailed", sent[1].message.id)
    assert await shares.unknown_kinds() == unknown + 1
    await assert_unread_counts(database, users, group)


async def test_the_sender_of_an_unreadable_record_receives_message_failed(
    exchange: Exchange, alice: RecordingClient, group: str, dead_letters: DeadLetters
) -> None:
    sent = record(alice, group, "bad")
    (item,) = items_of(records.pack([sent]))
    item["message"]["content"] = 7
    await exchange.publish(group, msgspec.msgpack.encode([item]))

    _, reason = await letter(dead_letters)
    assert "$.message.content" in reason
    await eventually(lambda: alice.failures)
    ((event, payload),) = alice.failures
    assert (event, payload["messageId"]) == ("messageFailed", sent.message.id)
