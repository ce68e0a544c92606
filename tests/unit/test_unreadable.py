"""Foreign bytes are decoded to what they are, or reported as unreadable; no exception escapes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.fuzz import fuzz
from parley.persistence_worker.unreadable_records import refusal_of
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
NO_TEXT = b"\x91\x81\xa4type\xa1\xff"
DEEP = b"\x91" * 100_000


@pytest.mark.parametrize("body", [NO_TEXT, DEEP], ids=["no text", "deep"])
def test_a_garbage_record_is_unreadable(body: bytes) -> None:
    (unreadable,) = records.unpack(body)
    assert isinstance(unreadable, records.UnreadableRecord)
    assert unreadable.reason
    assert unreadable.kind is None


@pytest.mark.parametrize("body", [NO_TEXT, DEEP], ids=["no text", "deep"])
def test_a_garbage_event_is_unreadable(body: bytes) -> None:
    (unreadable,) = events.unpack(body)
    assert isinstance(unreadable, events.UnreadableEvent)
    assert unreadable.reason


def _damaged(body: bytes, at: int, by: bytes) -> bytes:
    return body[: at % len(body)] + by + body[at % len(body) + len(by) :]


def damages(body: bytes) -> st.SearchStrategy[bytes]:
    return st.builds(_damaged, st.just(body), st.integers(0, 1_000), st.binary(max_size=4)) | st.binary(
        max_size=99
    )


@fuzz(300)
@given(body=damages(HEARTBEAT))
def test_damaged_events_are_decoded_or_reported(body: bytes) -> None:
    for each in events.unpack(body):
        assert isinstance(each, events.Event | events.UnknownEvent | events.UnreadableEvent)


@fuzz(300)
@given(body=damages(RECORD))
def test_damaged_records_are_decoded_or_reported(body: bytes) -> None:
    for each in records.unpack(body):
        assert isinstance(each, records.Record | records.UnreadableRecord)


@fuzz(300)
@given(body=damages(RECORD))
def test_the_sender_of_a_damaged_record_is_named_or_not(body: bytes) -> None:
    for each in records.unpack(body):
        if isinstance(each, records.UnreadableRecord):
            refused = refusal_of(each, "FAILED", "It failed.")
            assert refused is None or events.unpack(events.pack([refused])) == [refused]
