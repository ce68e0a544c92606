"""Rate limits: a burst at once, then a sustained rate, for each key by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.gateway.core.commands import Command, CreateConversation, Ping, SendMessage, SetTyping
from parley.gateway.core.errors import RateLimited
from parley.gateway.services.command_table import count_command
from parley.gateway.state.rates import Buckets, Rate, Rates

SEND = SendMessage(conversation_id="c", content="hello")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_its_burst_at_once_and_then_refuses() -> None:
    buckets = Buckets(Rate(2, 5), Clock())
    assert all(buckets.try_take("ann") for _ in range(5))
    assert not buckets.try_take("ann")
    assert buckets.retry_after("ann") == pytest.approx(0.5)


def test_a_refused_attempt_takes_no_token() -> None:
    clock = Clock()
    buckets = Buckets(Rate(2, 1), clock)
    assert buckets.try_take("ann")
    for _ in range(10):
        assert not buckets.try_take("ann")
    clock.now += 0.5
    assert buckets.try_take("ann")


def test_each_key_has_a_bucket_of_its_own() -> None:
    buckets = Buckets(Rate(1, 1), Clock())
    assert buckets.try_take("ann")
    assert buckets.try_take("ben")
    assert not buckets.try_take("ann")


def test_a_key_is_allowed_again_once_retry_after_has_passed() -> None:
    clock = Clock()
    buckets = Buckets(Rate(3, 4), clock)
    refused = 0
    for _ in range(50):
        if not buckets.try_take("ann"):
            refused += 1
            clock.now += buckets.retry_after("ann") + 1e-6
            assert buckets.try_take("ann")
    assert refused > 0


def test_a_bucket_with_a_token_needs_no_wait() -> None:
    buckets = Buckets(Rate(1, 2), Clock())
    assert buckets.try_take("ann")
    assert buckets.retry_after("ann") == 0.0
    assert buckets.retry_after("ben") == 0.0


@given(
    per_second=st.floats(0.1, 100),
    burst=st.integers(1, 50),
    steps=st.lists(st.floats(0, 2), max_size=200),
)
def test_a_bucket_never_allows_more_than_its_burst_and_its_rate(
    per_second: float, burst: int, steps: list[float]
) -> None:
    clock = Clock()
    start = clock.now
    buckets = Buckets(Rate(per_second, burst), clock)
    passed = 0
    for step in steps:
        clock.now += step
        passed += buckets.try_take("ann")
        assert passed <= burst + (clock.now - start) * per_second + 1e-6


def send(rates: Rates, command: Command = SEND) -> None:
    """Count a command of one user."""
    count_command(rates, "ann", command)


def test_each_kind_of_command_counts_against_its_own_rate() -> None:
    rates = Rates({"sends": Rate(1, 1), "typing": Rate(1, 1)}, Clock())
    send(rates)
    send(rates, SetTyping(conversation_id="c", typing=True))
    with pytest.raises(RateLimited) as refused:
        send(rates)
    assert (refused.value.code, refused.value.retryable) == ("RATE_LIMITED", True)
    assert refused.value.retry_after == pytest.approx(1.0)


def test_a_command_with_many_participants_is_allowed_and_takes_a_token_for_every_ten() -> None:
    clock = Clock()
    rates = Rates({"creates": Rate(1, 5)}, clock)
    crowd = CreateConversation(kind="group", participants=tuple(map(str, range(95))))
    send(rates, crowd)
    with pytest.raises(RateLimited) as refused:
        send(rates, crowd)
    assert refused.value.retry_after == pytest.approx(6.0)
    clock.now += 6.0
    send(rates, CreateConversation(kind="direct", participants=("ben",)))


def test_a_kind_without_a_rate_is_not_limited() -> None:
    rates = Rates({})
    for _ in range(1_000):
        send(rates)
        send(rates, Ping())


async def test_full_buckets_are_forgotten_and_all_others_stay() -> None:
    clock = Clock()
    rates = Rates({"sends": Rate(1, 5), "reads": Rate(1, 5)}, clock)
    for user, tokens in (("ann", 3), ("ben", 1), ("cas", 2)):
        rates.count("sends", user, tokens)
    rates.count("reads", "ann")
    clock.now += 2.0

    await rates.forget_full()

    assert len(rates) == 1
    clock.now -= 2.0
    rates.count("sends", "ann", 2)
    with pytest.raises(RateLimited):
        rates.count("sends", "ann")


def test_a_forgotten_bucket_is_full() -> None:
    rates = Rates({"events": Rate(1, 1)}, Clock())
    rates.count("events", "socket")
    rates.forget("events", "socket")
    rates.count("events", "socket")
    rates.forget("sends", "socket")


@pytest.mark.parametrize(("seconds", "announced"), [(0.0001, 0.001), (0.0104, 0.011), (1.0, 1.0)])
def test_the_time_to_retry_is_rounded_up_so_that_a_retry_is_not_too_early(
    seconds: float, announced: float
) -> None:
    assert RateLimited("Too many.", retry_after=seconds).retry_after == announced
