"""The sender of an undecodable record gets `messageFailed`, if the record names the sender."""

from typing import Any

import msgspec
import pytest

from clients.newer import grow, items_of, seal_newer
from golden.samples import samples_of
from parley.persistence_worker.batch import refusal
from parley.persistence_worker.unreadable_records import refusal_of
from parley.shared.events import RecordRefused
from parley.shared.records import Record, UnreadableRecord, pack, unpack

SAMPLES = samples_of(Record)


def refused(item: Any) -> RecordRefused | None:
    (record,) = unpack(seal_newer([item]))
    assert isinstance(record, UnreadableRecord)
    return refusal_of(record, "FAILED", "It failed.")


@pytest.mark.parametrize("record", SAMPLES.values(), ids=SAMPLES.keys())
def test_a_record_of_an_unknown_kind_is_refused_like_a_known_one(record: Record) -> None:
    (item,) = items_of(pack([record]))
    expected = refusal(record, "FAILED", "It failed.", failed=True)
    assert refused({**grow(item), "type": "reaction"}) == expected


def test_a_broken_record_of_a_known_kind_is_refused() -> None:
    (item,) = items_of(pack([SAMPLES["new, all"]]))
    item["message"]["content"] = 7
    expected = refusal(SAMPLES["new, all"], "FAILED", "It failed.", failed=True)
    assert refused(item) == expected


@pytest.mark.parametrize(
    "item",
    [
        7,
        {},
        {"type": "new", "id": "r"},
        {"type": "read", "id": "r", "conversation_id": "c"},
        {"type": "read", "conversation_id": "c", "user_id": "u"},
        {"type": "read", "id": 7, "conversation_id": "c", "user_id": "u"},
        {"type": "new", "id": "r", "message": "m", "sender": ["u"]},
    ],
)
def test_a_record_that_does_not_name_its_sender_is_refused_silently(item: Any) -> None:
    assert refused(item) is None


def test_garbage_is_refused_silently() -> None:
    assert refusal_of(UnreadableRecord(b"\xc1", b"\xc1", "garbage"), "FAILED", "It failed.") is None
    body = msgspec.msgpack.encode({1: 2})
    assert refusal_of(UnreadableRecord(body, body, "garbage"), "FAILED", "It failed.") is None
