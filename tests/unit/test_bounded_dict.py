"""A bounded map keeps the entries that were put last."""

import pytest

from parley.gateway.state.bounded_dict import BoundedDict


def filled(limit: int, keys: range) -> BoundedDict[int, int]:
    entries: BoundedDict[int, int] = BoundedDict(limit)
    for key in keys:
        entries.put(key, 10 * key)
    return entries


@pytest.mark.parametrize("limit", [1, 3, 100, 1_000])
def test_a_map_never_has_more_entries_than_its_limit_and_keeps_nearly_as_many(limit: int) -> None:
    entries = filled(limit, range(5 * limit))

    kept = [key for key in range(5 * limit) if key in entries]
    assert len(kept) == len(entries)
    assert 0.9 * limit <= len(kept) <= limit
    assert kept == list(range(5 * limit - len(kept), 5 * limit))


def test_an_entry_that_is_put_again_is_the_most_recent_one() -> None:
    entries = filled(3, range(3))

    entries.put(0, 7)
    entries.put(3, 30)

    assert entries.oldest(5) == [(2, 20), (0, 7), (3, 30)]
    assert entries.get(1) is None


def test_a_discarded_entry_makes_room() -> None:
    entries = filled(3, range(3))

    entries.discard(1)
    entries.discard(1)
    entries.put(3, 30)

    assert entries.oldest(2) == [(0, 0), (2, 20)]
