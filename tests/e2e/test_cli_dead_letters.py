"""`parley dead-letters` loses no letter, keeps their order, and puts records back to where they came from."""

import signal
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel

from clients.chat import ChatUsers, eventually
from clients.invariants import stored_messages
from clients.operators import Operator
from clients.poison import send_unstorable
from clients.workers import DeadLetters
from parley.shared import amqp, model, records
from parley.shared.mongo import Database
from parley.shared.partitions import DEAD_LETTER_QUEUE, DEAD_LETTERS
from parley.stack import Stack

pytestmark = pytest.mark.slow  # Each test starts the command some times.

MANY = 7_500
"""More than are in the command's memory at once."""


@pytest.fixture
async def operator(stack: Stack, tmp_path: Path) -> AsyncIterator[Operator]:
    await DeadLetters(stack).take()
    yield Operator(stack, tmp_path)
    await DeadLetters(stack).take()


@pytest.fixture
async def channel(stack: Stack) -> AsyncIterator[AbstractChannel]:
    connection = await amqp.connect(stack.rabbitmq_url, name="test", heartbeat=10)
    yield await connection.channel()
    await connection.close()


async def put(channel: AbstractChannel, bodies: Sequence[bytes], **headers: Any) -> None:
    exchange = await channel.get_exchange(DEAD_LETTERS, ensure=False)
    for body in bodies:
        message = Message(body, headers=headers, delivery_mode=DeliveryMode.PERSISTENT)
        await exchange.publish(message, "")


async def count(channel: AbstractChannel) -> int:
    queue = await channel.declare_queue(DEAD_LETTER_QUEUE, durable=True, passive=True)
    return queue.declaration_result.message_count or 0


async def new_record(users: ChatUsers, content: str) -> records.NewMessage:
    alice = users.user("alice")
    group = await users.group(await alice.socket(), "bob")
    message = model.Message(
        id=model.new_id(), conversation_id=group, sender_id=alice.id, content=content, created_at=model.now()
    )
    return records.NewMessage(id=message.id, message=message, sender=model.Person(id=alice.id))


async def test_a_poison_letter_is_listed_shown_and_dropped(
    operator: Operator, stack: Stack, users: ChatUsers
) -> None:
    alice = users.user("alice")
    group = await users.group(await alice.socket(), "bob")
    await send_unstorable(stack, alice, group)
    rows: list[Any] = []

    async def is_listed() -> bool:
        rows[:] = (await operator.run("dead-letters", "list", "--json")).rows
        return bool(rows)

    await eventually(is_listed, 20)
    (row,) = rows
    assert row["position"] == 1
    assert "OverflowError" in row["reason"]
    assert row["at"] is not None
    text = await operator.run("dead-letters", "list")
    assert row["id"] in text.out
    assert text.out.endswith("1 dead letter(s).\n")
    dropped = await operator.run("dead-letters", "drop", row["id"], "--yes", "--json")
    assert (dropped.code, dropped.json) == (0, {"dropped": 1})
    assert (await operator.run("dead-letters", "list", "--json")).rows == []


async def test_a_content_is_shown_only_when_it_is_asked_for(
    operator: Operator, channel: AbstractChannel, users: ChatUsers
) -> None:
    record = await new_record(users, "a private word")
    await put(channel, [records.pack([record])], **{"x-reason": "a test", "x-partition": 3})
    (row,) = (await operator.run("dead-letters", "list", "--json")).rows
    hidden = await operator.run("dead-letters", "show", row["id"][:6], "--json")
    assert "private" not in hidden.out
    assert hidden.json["records"][0]["message"]["content"] == "(14 hidden)"
    shown = await operator.run("dead-letters", "show", row["id"], "--content")
    assert "a private word" in shown.out
    missing = await operator.run("dead-letters", "show", "nonsense")
    assert (missing.code, missing.out) == (2, "")
    assert missing.err.startswith("parley: There is no dead letter nonsense")


async def test_listing_loses_no_letter_and_keeps_their_order(
    operator: Operator, channel: AbstractChannel, stack: Stack
) -> None:
    bodies = [b"%d" % number for number in range(MANY)]
    await put(channel, bodies)
    for _ in range(3):
        answer = await operator.run("dead-letters", "list", "--json")
        assert [row["position"] for row in answer.rows] == list(range(1, MANY + 1))
        assert [row["bytes"] for row in answer.rows] == [len(body) for body in bodies]
    await operator.run("dead-letters", "show", "nonsense")
    assert [letter.body for letter in await DeadLetters(stack).take()] == bodies


async def test_a_list_that_is_cut_short_keeps_the_order_too(
    operator: Operator, channel: AbstractChannel, stack: Stack
) -> None:
    bodies = [b"%d" % number for number in range(MANY)]
    await put(channel, bodies)
    await operator.run("dead-letters", "list", "--json")
    process = await operator.start("dead-letters", "list", "--json")
    assert process.stdout
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert process.returncode in (0, 130)

    async def all_are_back() -> bool:
        return await count(channel) == MANY

    await eventually(all_are_back)
    assert [letter.body for letter in await DeadLetters(stack).take()] == bodies


async def test_a_replayed_record_is_stored_and_its_letter_removed(
    operator: Operator, channel: AbstractChannel, users: ChatUsers, database: Database
) -> None:
    record, other = await new_record(users, "late, but there"), await new_record(users, "stays")
    await put(channel, [records.pack([record]), records.pack([other])], **{"x-reason": "a test"})
    rows = (await operator.run("dead-letters", "list", "--json")).rows
    answer = await operator.run("dead-letters", "replay", rows[0]["id"], "--json")
    assert (answer.code, answer.json) == (0, {"replayed": 1, "kept": []})

    async def is_stored() -> bool:
        return bool(await stored_messages(database, record.conversation_id))

    await eventually(is_stored)
    (left,) = (await operator.run("dead-letters", "list", "--json")).rows
    assert left["id"] == rows[1]["id"]


async def test_a_poison_record_that_is_replayed_becomes_a_dead_letter_again(
    operator: Operator, stack: Stack, users: ChatUsers, channel: AbstractChannel
) -> None:
    alice = users.user("alice")
    group = await users.group(await alice.socket(), "bob")
    await send_unstorable(stack, alice, group)

    async def has_come() -> bool:
        return await count(channel) == 1

    await eventually(has_come, 20)
    answer = await operator.run("dead-letters", "replay", "--all", "--json")
    assert answer.json["replayed"] == 1
    await eventually(has_come, 20)


async def test_a_record_without_a_known_partition_is_kept(
    operator: Operator, channel: AbstractChannel, stack: Stack
) -> None:
    await put(channel, [b"\xc1garbage"], **{"x-reason": "a test"})
    answer = await operator.run("dead-letters", "replay", "--reason", "a test", "--json")
    assert answer.code == 1
    assert len(answer.json["kept"]) == 1
    assert [letter.body for letter in await DeadLetters(stack).take()] == [b"\xc1garbage"]


async def test_letters_are_dropped_by_reason_after_confirmation_only(
    operator: Operator, channel: AbstractChannel, stack: Stack
) -> None:
    await put(channel, [b"1", b"2"], **{"x-reason": "one"})
    await put(channel, [b"3"], **{"x-reason": "two"})
    refused = await operator.run("dead-letters", "drop", "--reason", "one")
    assert (refused.code, refused.err) == (2, "parley: Nothing was dropped: confirm it by --yes.\n")
    nothing = await operator.run("dead-letters", "drop", "--yes")
    assert nothing.code == 2
    dropped = await operator.run("dead-letters", "drop", "--reason", "one", "--yes")
    assert dropped.out == "2 letter(s) dropped.\n"
    assert [letter.body for letter in await DeadLetters(stack).take()] == [b"3"]


async def test_a_second_reader_is_refused(operator: Operator, stack: Stack) -> None:
    connection = await amqp.connect(stack.rabbitmq_url, name="test", heartbeat=10)
    await (await connection.channel()).declare_queue("parley.dead_letters.reader", exclusive=True)
    answer = await operator.run("dead-letters", "list")
    await connection.close()
    assert answer.code == 2
    assert answer.err == "parley: Another command reads the dead letters: try again when it has ended.\n"


@pytest.mark.parametrize("subcommand", ["list", "replay"])
async def test_a_broker_that_is_down_is_reported_in_one_sentence(operator: Operator, subcommand: str) -> None:
    arguments = ["--all"] if subcommand == "replay" else []
    url = f"amqp://parley:{uuid.uuid4().hex}@127.0.0.1:1/"
    answer = await operator.run("dead-letters", subcommand, *arguments, RABBITMQ_URL=url)
    assert answer.code == 2
    assert answer.err.startswith("parley: RabbitMQ cannot be reached (")
    assert answer.err.count("\n") == 1
