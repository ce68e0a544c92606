"""This version reads what every earlier version wrote, and what a later one may write."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.fuzz import fuzz
from clients.newer import grow, items_of, seal_newer
from golden.files import FORMATS, UNIONS, read, versions
from golden.samples import samples_of
from parley.shared import events, records

NEWEST = versions()[-1]
GOLDEN = [(version, *key, body) for version in versions() for key, body in read(version).items()]
SAMPLES = [
    (name, sample, value) for name, union in UNIONS.items() for sample, value in samples_of(union).items()
]
UNKNOWN = {"type": "reaction", "id": "r", "emoji": "x"}


def covers(actual: Any, expected: Any) -> bool:
    """Whether everything of `expected` stands in `actual`, which may have more fields."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return all(name in actual and covers(actual[name], value) for name, value in expected.items())
    if isinstance(expected, list) and isinstance(actual, list):
        return len(actual) == len(expected) and all(map(covers, actual, expected))
    return bool(actual == expected)


def golden_item(body: bytes) -> Any:
    decoded = msgspec.msgpack.decode(body)
    (item,) = decoded[2] if isinstance(decoded[0], int) else decoded
    return item


@pytest.mark.parametrize(("version", "form", "sample", "body"), GOLDEN)
def test_golden_bytes_are_read_and_written_again_without_loss(
    version: str, form: str, sample: str, body: bytes
) -> None:
    (value,) = FORMATS[form].unpack(body)
    (again,) = items_of(FORMATS[form].pack([value]))
    assert covers(again, golden_item(body))


@pytest.mark.parametrize(("form", "sample", "value"), SAMPLES)
def test_the_newest_golden_bytes_are_what_this_version_writes(form: str, sample: str, value: Any) -> None:
    body = read(NEWEST).get((form, sample))
    hint = "A format changed. See shared/README.md, then write a file: python -m golden.files <next version>"
    assert body is not None, hint
    assert FORMATS[form].unpack(body) == [value], hint
    assert [golden_item(body)] == items_of(FORMATS[form].pack([value])), hint


def test_an_array_of_0_1_0_with_several_items_is_read() -> None:
    values = [value for form, _, value in SAMPLES if form == "records"]
    assert records.unpack(msgspec.msgpack.encode(values)) == values


NAMES = st.text("abcxyz_", min_size=1, max_size=6).map(lambda name: f"x{name}")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@fuzz(200)
@given(sample=st.sampled_from(SAMPLES), added=st.dictionaries(NAMES, VALUES, min_size=1, max_size=3))
def test_added_fields_are_passed_over(sample: Any, added: dict[str, Any]) -> None:
    form, _, value = sample
    (item,) = items_of(FORMATS[form].pack([value]))
    assert FORMATS[form].unpack(seal_newer([grow(item, added)])) == [value]


def test_an_event_of_an_unknown_kind_does_not_affect_its_neighbours() -> None:
    values = [value for form, _, value in SAMPLES if form == "events"]
    items = [grow(item) for item in items_of(events.pack(values))]
    unpacked = events.unpack(seal_newer([items[0], UNKNOWN, *items[1:]]))
    assert unpacked == [values[0], events.UnknownEvent("reaction"), *values[1:]]


def test_a_record_of_an_unknown_kind_does_not_affect_its_neighbours() -> None:
    values = [value for form, _, value in SAMPLES if form == "records"]
    items = [grow(item) for item in items_of(records.pack(values))]
    first, unknown, *others = records.unpack(seal_newer([items[0], UNKNOWN, *items[1:]]))
    assert [first, *others] == values
    assert isinstance(unknown, records.UnreadableRecord)
    assert unknown.kind == "reaction"


def test_an_unreadable_record_is_kept_in_the_envelope_that_it_came_in() -> None:
    (unknown,) = records.unpack(seal_newer([UNKNOWN]))
    assert isinstance(unknown, records.UnreadableRecord)
    assert msgspec.msgpack.decode(unknown.body)[1:] == ["99.0.0", [UNKNOWN]]
    assert records.unpack(unknown.body) == [unknown]


@pytest.mark.parametrize("item", [{"type": "stored"}, {"type": 7}, 7, None, [], {}])
def test_garbage_is_not_taken_for_an_unknown_kind(item: Any) -> None:
    (event,) = events.unpack(seal_newer([item]))
    (record,) = records.unpack(seal_newer([item or {"type": "new"}]))
    assert isinstance(event, events.UnreadableEvent)
    assert isinstance(record, records.UnreadableRecord)
