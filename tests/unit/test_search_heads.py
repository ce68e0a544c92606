"""The time after which no message of a conversation was stored, as its head tells it to a search."""

from datetime import UTC, datetime, timedelta
from typing import Any

from parley.gateway.adapters.mongo.search_blocks import MAX_SKEW
from parley.gateway.adapters.mongo.search_heads import UNKNOWN, SearchedHead, head_of
from parley.gateway.adapters.mongo.search_scan import MAX_STORE_DELAY

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def head(seq: int = 9, **more: Any) -> SearchedHead:
    last = {"seq": 9, "createdAt": NOON, "storedAt": NOON + SECOND}
    mark = {"build": 1, "rev": 4, "seq": 4, "at": NOON - SECOND}
    stored = {"_id": "c", "lastSeq": seq, "rev": seq, "createdAt": NOON, "lastMessage": last, "indexed": mark}
    return head_of({**stored, **more}, 1)


def test_an_indexed_conversation_has_the_time_of_its_mark() -> None:
    mark = {"build": 1, "rev": 9, "seq": 9, "at": NOON - SECOND}
    assert head(indexed=mark).latest_at == NOON - SECOND
    assert not head(indexed=mark).is_behind


def test_messages_of_one_worker_were_stored_before_the_last_one() -> None:
    assert head(epochs=[{"id": 7, "since": 5}]).latest_at == NOON + SECOND


def test_the_clock_of_another_worker_may_have_been_ahead() -> None:
    assert head(epochs=[{"id": 7, "since": 6}]).latest_at == NOON + SECOND + MAX_SKEW
    assert head().latest_at == NOON + SECOND + MAX_SKEW


def test_the_head_of_an_older_worker_has_only_the_time_of_creation() -> None:
    last = {"seq": 9, "createdAt": NOON}
    assert head(lastMessage=last).latest_at == NOON + MAX_STORE_DELAY


def test_a_head_whose_number_was_raised_alone_may_have_the_newest_message() -> None:
    assert head(seq=10, epochs=[{"id": 7, "since": 1}]).latest_at == UNKNOWN
    assert head(lastMessage=None).latest_at == UNKNOWN


def test_indexed_messages_may_be_later_than_the_last_one() -> None:
    mark = {"build": 1, "rev": 4, "seq": 4, "at": NOON + 2 * SECOND}
    assert head(indexed=mark, epochs=[{"id": 7, "since": 5}]).latest_at == NOON + 2 * SECOND
