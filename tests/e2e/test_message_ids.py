"""A worker's log line about a record that it cannot store names the message and its conversation."""

import json
import uuid
from typing import Any

import msgspec

from clients.broker import Exchange
from clients.chat import ChatUsers, eventually
from clients.poison import clear_away, send_unstorable
from parley.stack import Stack


async def test_a_record_that_fails_is_logged_with_its_message(stack: Stack, users: ChatUsers) -> None:
    (ann,) = await users.sockets("ann")
    group = await users.group(ann, "bob")
    message_id = await send_unstorable(stack, users.user("ann"), group)
    await ann.wait_for("messageFailed", messageId=message_id)
    (line,) = await eventually(lambda: lines(stack, "worker.record.failed", message_id))
    assert line["conversation"] == group
    await clear_away(stack)


async def test_a_record_that_cannot_be_read_is_logged_with_its_message(
    stack: Stack, users: ChatUsers
) -> None:
    (ann,) = await users.sockets("ann")
    group = await users.group(ann, "bob")
    message_id = str(uuid.uuid4())
    broken = {
        "type": "edit",
        "id": str(uuid.uuid4()),
        "conversation_id": group,
        "message_id": message_id,
        "user": {"id": users.user("ann").id},
        "content": 7,
    }
    async with Exchange(stack) as exchange:
        await exchange.publish(group, msgspec.msgpack.encode([broken]))
    await eventually(lambda: lines(stack, "worker.record.unreadable", message_id))
    await clear_away(stack)


def lines(stack: Stack, event: str, message_id: str) -> list[dict[str, Any]]:
    """Return the workers' log lines of an event about a message."""
    logged = [stack.log(f"worker-{number}").read_text().splitlines() for number in (1, 2)]
    found = (json.loads(each) for of_one in logged for each in of_one if each.startswith("{"))
    return [line for line in found if line["event"] == event and line.get("message_id") == message_id]
