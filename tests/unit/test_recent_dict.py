"""Recent entries are kept, and those from before the last ones are evicted."""

from parley.gateway.state.recent_dict import RecentDict

LEAST = 10


def test_the_last_entries_are_kept_and_at_most_twice_as_many() -> None:
    recent: RecentDict[int, str] = RecentDict(LEAST)
    for number in range(10 * LEAST):
        recent.put(number, f"value {number}")
        kept = [each for each in range(number + 1) if each in recent]
        assert kept[-LEAST:] == list(range(number + 1))[-LEAST:]
        assert len(kept) <= 2 * LEAST
        assert [recent.get(each) for each in kept] == [f"value {each}" for each in kept]
    assert recent.get(0) is None


def test_an_entry_that_is_put_again_has_its_new_value() -> None:
    recent: RecentDict[str, int] = RecentDict(LEAST)
    recent.put("again", 1)
    for number in range(LEAST):
        recent.put(str(number), number)
    recent.put("again", 2)
    assert recent.get("again") == 2
