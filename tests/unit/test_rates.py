"""Token buckets: a burst at once, then so many a second, for each user alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.gateway.core.commands import CreateConversation, Ping, SendMessage, SetTyping
from parley.gateway.core.errors import RateLimited
from parley.gateway.state.rates import Buckets, Rate, Rates

SEND = SendMessage(conversation_id="c", content="hello")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_at_once_and_no_more() -> None:
    buckets = Buckets(Rate(2, 5), Clock())
    assert [buckets.take("ann") for _ in range(5)] == [0.0] * 5
    assert buckets.take("ann") == pytest.approx(0.5)


def test_what_is_refused_does_not_count() -> None:
    clock = Clock()
    buckets = Buckets(Rate(2, 1), clock)
    buckets.take("ann")
    for _ in range(10):
        assert buckets.take("ann") > 0
    clock.now += 0.5
    assert buckets.take("ann") == 0.0


def test_everyone_has_a_bucket_of_their_own() -> None:
    buckets = Buckets(Rate(1, 1), Clock())
    assert buckets.take("ann") == 0.0
    assert buckets.take("ben") == 0.0
    assert buckets.take("ann") > 0


def test_whoever_waits_as_long_as_they_were_told_is_let_through() -> None:
    clock = Clock()
    buckets = Buckets(Rate(3, 4), clock)
    for _ in range(50):
        wait = buckets.take("ann")
        if wait:
            clock.now += wait + 1e-6
            assert buckets.take("ann") == 0.0


@given(
    per_second=st.floats(0.1, 100),
    burst=st.integers(1, 50),
    steps=st.lists(st.floats(0, 2), max_size=200),
)
def test_never_more_pass_than_the_rate_and_the_burst(
    per_second: float, burst: int, steps: list[float]
) -> None:
    clock = Clock()
    start = clock.now
    buckets = Buckets(Rate(per_second, burst), clock)
    passed = 0
    for step in steps:
        clock.now += step
        passed += buckets.take("ann") == 0.0
        assert passed <= burst + (clock.now - start) * per_second + 1e-6


def test_each_kind_of_command_has_its_rate() -> None:
    rates = Rates({"sends": Rate(1, 1), "typing": Rate(1, 1)}, Clock())
    rates.check("ann", SEND)
    rates.check("ann", SetTyping(conversation_id="c", typing=True))
    with pytest.raises(RateLimited) as refused:
        rates.check("ann", SEND)
    assert (refused.value.code, refused.value.retryable) == ("RATE_LIMITED", True)
    assert refused.value.retry_after == pytest.approx(1.0)


def test_who_brings_in_many_at_once_may_and_waits_the_longer_after() -> None:
    clock = Clock()
    rates = Rates({"creates": Rate(1, 5)}, clock)
    crowd = CreateConversation(kind="group", participants=tuple(map(str, range(95))))
    rates.check("ann", crowd)
    with pytest.raises(RateLimited) as refused:
        rates.check("ann", crowd)
    assert refused.value.retry_after == pytest.approx(6.0)
    clock.now += 6.0
    rates.check("ann", CreateConversation(kind="direct", participants=("ben",)))


def test_without_rates_everything_passes() -> None:
    rates = Rates({})
    for _ in range(1_000):
        rates.check("ann", SEND)
        rates.check("ann", Ping())
