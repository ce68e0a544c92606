"""Dead letters as the operators' command reads them: ids, partitions, masked contents, limits of RabbitMQ."""

from collections.abc import Mapping
from typing import Any

import pytest

from parley.cli.dead_letters.letter import Letter
from parley.cli.dead_letters.queue import MOST_DELIVERIES, most_deliveries
from parley.shared import model, records
from parley.shared.amqp_frames import Delivery
from parley.shared.partitions import Partitions

EIGHT = Partitions(8)


def record(conversation_id: str) -> records.NewMessage:
    message = model.Message(
        id=model.new_id(),
        conversation_id=conversation_id,
        sender_id="ann",
        content="secret",
        created_at=model.now(),
    )
    return records.NewMessage(id=message.id, message=message, sender=model.Person(id="ann"))


def letter(body: bytes, headers: Mapping[str, Any] | None = None) -> Letter:
    return Letter(1, Delivery(tag=1, redelivered=False, headers=headers or {}, published_at=None, body=body))


def test_a_body_goes_back_as_it_was_to_the_partition_of_its_conversation() -> None:
    body = records.pack([record("a"), record("a")])
    assert list(letter(body, {"x-partition": 7}).bodies(EIGHT)) == [(EIGHT.of("a"), body)]


def test_records_of_several_partitions_go_back_one_by_one() -> None:
    both = [record("a"), record("b")]
    assert EIGHT.of("a") != EIGHT.of("b")
    found = list(letter(records.pack(both)).bodies(EIGHT))
    assert [partition for partition, _ in found] == [EIGHT.of("a"), EIGHT.of("b")]
    assert [records.unpack(body) for _, body in found] == [[both[0]], [both[1]]]


@pytest.mark.parametrize(
    ("headers", "replayable"), [({}, False), ({"x-partition": 3}, True), ({"x-partition": 8}, False)]
)
def test_an_unreadable_body_goes_back_only_where_its_partition_exists(
    headers: Mapping[str, Any], replayable: bool
) -> None:
    assert letter(b"\xc1", headers).is_replayable(EIGHT) is replayable


def test_a_letter_of_the_broker_names_the_queue_and_its_reason() -> None:
    death = {"queue": "parley.records.5", "reason": "delivery_limit"}
    found = letter(b"\xc1", {"x-death": [death]})
    assert (found.partition, found.reason) == (5, "the broker: delivery_limit")


def test_contents_are_hidden_unless_they_are_asked_for() -> None:
    found = letter(records.pack([record("a")]))
    assert "secret" not in str(found.details(content=False))
    assert "secret" in str(found.details(content=True))
    assert "secret" not in str(found.summary())


def test_unreadable_contents_are_hidden_too() -> None:
    assert letter(b"\xc1").details(content=False)["records"][0]["content"] == "(2 hidden)"


@pytest.mark.parametrize(
    ("version", "limit"),
    [("3.10.8", None), ("4.0.0", MOST_DELIVERIES), ("4.2.1", MOST_DELIVERIES), ("4.3.0", None), ("?", None)],
)
def test_letters_are_read_as_often_as_the_broker_keeps_them(version: str, limit: int | None) -> None:
    assert most_deliveries(version) == limit


def test_the_deliveries_of_a_letter_are_counted_by_either_header() -> None:
    assert letter(b"", {"x-delivery-count": 3, "x-acquired-count": 5}).deliveries == 5
