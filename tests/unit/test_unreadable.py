"""Bytes that somebody else has written: read as what they are, or named unreadable, whatever they are."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.fuzz import fuzz
from parley.shared import events, model, records

HEARTBEAT = events.pack([events.Heartbeat(count=1)])
RECORD = records.pack(
    [
        records.NewMessage(
            id="r",
            message=model.Message(
                id="m", conversation_id="c", sender_id="u", content="hello", created_at=model.now()
            ),
            sender=model.Person(id="u"),
        )
    ]
)
NO_TEXT = b"\x91\x82\xa4type\xa3new\xa1\xff\x01"
DEEP = b"\x91" * 100_000


@pytest.mark.parametrize("body", [NO_TEXT, DEEP], ids=["no text", "deep"])
def test_a_record_that_cannot_be_read_is_broken(body: bytes) -> None:
    (broken,) = records.unpack(body)
    assert isinstance(broken, records.Broken)
    assert broken.reason


@pytest.mark.parametrize("body", [NO_TEXT, DEEP], ids=["no text", "deep"])
def test_an_event_that_cannot_be_read_is_no_event(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        events.unpack(body)


def _damaged(body: bytes, at: int, by: bytes) -> bytes:
    return body[: at % len(body)] + by + body[at % len(body) + len(by) :]


def damages(body: bytes) -> st.SearchStrategy[bytes]:
    return st.builds(_damaged, st.just(body), st.integers(0, 1_000), st.binary(max_size=4)) | st.binary(
        max_size=99
    )


@fuzz(300)
@given(body=damages(HEARTBEAT))
def test_damaged_events_are_read_or_refused(body: bytes) -> None:
    with suppress(msgspec.DecodeError):
        assert isinstance(events.unpack(body), list)


@fuzz(300)
@given(body=damages(RECORD))
def test_damaged_records_are_read_or_broken(body: bytes) -> None:
    for each in records.unpack(body):
        assert isinstance(each, records.Broken | records.Record)
