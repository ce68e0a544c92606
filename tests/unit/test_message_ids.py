"""A log line about one message names it by `message_id`."""

import asyncio
from typing import Any

import pytest
from marshmallow import Schema, ValidationError
from marshmallow.fields import UUID, Field
from structlog.testing import capture_logs

from parley.gateway.adapters.rabbitmq.outbox import LOGGED_IDS, RabbitOutbox
from parley.gateway.adapters.rabbitmq.partition_queue import PartitionQueue
from parley.gateway.core import commands as c
from parley.gateway.live.sessions import Session
from parley.gateway.protocols.dispatch import Resolved
from parley.gateway.protocols.registry import PROTOCOLS
from parley.gateway.sockets.event_dispatcher import _failure
from parley.persistence_worker.batch import Batch
from parley.shared.model import Message, Person, message_id, now
from parley.shared.partitions import Partitions
from parley.shared.records import DeliveredMark, NewMessage

CLIENT_ID = "6b1f0f5e-5c1e-4f0e-9d7a-2a4f1c9d8e3b"
ANN = Person(id="ann")
SESSION = Session("g1.x", "/chat", "ann")
GROUPS = next(protocol for protocol in PROTOCOLS if protocol.name == "groups")


def new(number: int) -> NewMessage:
    message = Message(
        id=f"m{number}", conversation_id="c", sender_id="ann", content="hello", created_at=now()
    )
    return NewMessage(id=f"r{number}", message=message, sender=ANN)


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (c.EditMessage(message_id="m", content="hello"), "m"),
        (c.DeleteMessage(message_id="m"), "m"),
        (c.MarkRead(message_id="m"), "m"),
        (
            c.SendMessage(conversation_id="c", content="hello", client_message_id=CLIENT_ID),
            message_id("ann", "c", CLIENT_ID),
        ),
        (c.SendMessage(conversation_id="c", content="hello"), None),
        (c.ListOnline(), None),
        (None, None),
    ],
)
def test_a_command_names_its_message(command: Any, named: str | None) -> None:
    assert c.message_named_by(command, "ann") == named


@pytest.mark.parametrize(
    "spelled",
    [CLIENT_ID.upper(), CLIENT_ID.replace("-", ""), f"{{{CLIENT_ID.upper()}}}", f"urn:uuid:{CLIENT_ID}"],
)
def test_a_client_s_id_names_one_message_and_stays_as_it_is_spelled(spelled: str) -> None:
    fields = [field for schema in _schemas() if (field := _fields(schema).get("clientMessageId"))]
    assert len(fields) > len(PROTOCOLS)
    assert {field.deserialize(spelled) for field in fields} == {spelled}
    assert message_id("ann", "c", spelled) == message_id("ann", "c", CLIENT_ID)


@pytest.mark.parametrize(
    "spelled",
    [
        "-" * 1_000 + CLIENT_ID,
        "{" * 1_000 + CLIENT_ID,
        "urn:uuid:" * 100 + CLIENT_ID,
        "".join(f"{digit}-" for digit in CLIENT_ID),
        CLIENT_ID.replace("6", "\u0666"),
        "0x" + CLIENT_ID[2:],
    ],
)
def test_a_client_s_id_is_of_a_usual_spelling_because_all_members_receive_it(spelled: str) -> None:
    fields = [field for schema in _schemas() for field in _fields(schema).values() if isinstance(field, UUID)]
    assert len(fields) > len(PROTOCOLS)
    for field in fields:
        with pytest.raises(ValidationError):
            field.deserialize(spelled)


def _schemas() -> list[Schema]:
    events = [inbound.schema for protocol in PROTOCOLS for inbound in protocol.inbound.values()]
    return events + [route.schema for protocol in PROTOCOLS for route in protocol.routes]


def _fields(schema: Schema) -> dict[str, Field[Any]]:
    return {field.data_key or name: field for name, field in schema.fields.items()}


@pytest.mark.parametrize(
    ("event", "payload", "named"),
    [
        ("editMessage", {"message_id": "m", "content": "hello"}, "m"),
        ("editMessage", {"wrong": 1}, None),
    ],
)
def test_an_event_that_fails_is_logged_with_its_message(
    event: str, payload: dict[str, Any], named: str | None
) -> None:
    resolved = Resolved((GROUPS,), GROUPS.inbound[event], payload)
    with capture_logs() as lines:
        _failure(SESSION, event, resolved, ZeroDivisionError())
    assert [(line["event"], line["message_id"]) for line in lines] == [("gateway.event.failed", named)]


async def test_a_batch_that_is_not_confirmed_is_logged_with_its_messages() -> None:
    outbox = RabbitOutbox("amqp://nowhere", Partitions(1), limit=100, name="g1")
    queue = PartitionQueue()
    queue.add(DeliveredMark(id="r", conversation_id="c", user_id="ann", seq=1, at=now()))
    for number in range(LOGGED_IDS + 1):
        queue.add(new(number))
    with capture_logs() as lines:
        outbox._refuse(queue, ConnectionError())
    (line,) = lines
    assert line["message_ids"] == [f"m{number}" for number in range(LOGGED_IDS)]
    assert line["records"] == LOGGED_IDS + 2
    await asyncio.sleep(0)


def test_a_record_that_a_rule_forbids_is_logged_with_its_message() -> None:
    batch = Batch(redelivered=False, heads={}, found={})
    with capture_logs() as lines:
        batch.refuse(new(1), "NOT_FOUND", "There is no such conversation.")
    (line,) = lines
    assert (line["event"], line["message_id"], line["code"]) == ("worker.record.refused", "m1", "NOT_FOUND")
    assert (line["record"], line["conversation"], line["log_level"]) == ("r1", "c", "debug")
