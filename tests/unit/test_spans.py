"""The parts in which many ids are read: each id that there can be is in the span of one of them."""

from hypothesis import given
from hypothesis import strategies as st

from parley.gateway.core.spans import ALL, in_spans


@given(st.sets(st.text()), st.integers(1, 5), st.text())
def test_each_id_is_in_the_span_of_one_part(ids: set[str], size: int, other: str) -> None:
    parts = in_spans(ids, size)
    assert [each for some, _ in parts for each in some] == sorted(ids)
    assert all(len(some) <= size and all(map(span.includes, some)) for some, span in parts)
    for each in (*ids, other):
        assert sum(span.includes(each) for _, span in parts) == 1


def test_few_ids_are_one_part() -> None:
    assert in_spans({"b", "a"}, 2) == [(["a", "b"], ALL)]
    assert in_spans((), 2) == [([], ALL)]
