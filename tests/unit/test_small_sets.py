"""Small sets hold what sets hold, few values as tuples."""

from hypothesis import given
from hypothesis import strategies as st

from parley.gateway.state.small_sets import MOST_IN_TUPLE, SmallSet, with_value, with_values, without_value


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2 * MOST_IN_TUPLE))))
def test_a_small_set_holds_what_a_set_holds(changes: list[tuple[bool, int]]) -> None:
    small: SmallSet[int] = ()
    reference: set[int] = set()
    for is_added, value in changes:
        small = with_value(small, value) if is_added else without_value(small, value)
        (reference.add if is_added else reference.discard)(value)
        assert set(small) == reference
        assert len(small) == len(reference)


@given(st.sets(st.integers(0, 20)), st.lists(st.integers(0, 20), unique=True))
def test_several_values_are_added_as_one_by_one(values: set[int], more: list[int]) -> None:
    small: SmallSet[int] = ()
    for value in values:
        small = with_value(small, value)
    together = with_values(small, more)
    assert set(together) == values | set(more)
    assert isinstance(together, tuple) == (len(values | set(more)) <= MOST_IN_TUPLE)


def test_few_values_are_a_tuple_and_many_a_set() -> None:
    small: SmallSet[int] = ()
    for value in range(MOST_IN_TUPLE):
        small = with_value(small, value)
    assert isinstance(small, tuple)
    assert isinstance(with_value(small, MOST_IN_TUPLE), set)
