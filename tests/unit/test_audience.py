"""A command costs its sender more, the more online users its event reaches."""

from asyncio import Future
from typing import Any, cast, get_args

import pytest

from parley.gateway.core import commands as c
from parley.gateway.core.errors import RateLimited
from parley.gateway.core.results import Done, PendingCommit
from parley.gateway.services.audience import AudienceCosts
from parley.gateway.services.command_table import COMMANDS, REACHED_PER_TOKEN, count_command
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.state.rates import Rate, RateKind, Rates
from parley.shared.model import Membership, Person, now

LARGE, SMALL = "large", "small"
GATEWAYS = 2


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rates(clock: Clock) -> Rates:
    kinds: tuple[RateKind, ...] = ("sends", "typing", "joins", "reads")
    return Rates({kind: Rate(20, 100) for kind in kinds}, clock)


@pytest.fixture
def costs(rates: Rates) -> AudienceCosts:
    """A gateway with 500 online members of a large group and 2 of a small one; there are two gateways."""
    cache = MembershipCache()
    for number in range(500):
        join(cache, f"user-{number}", LARGE)
    for user_id in ("ann", "bob"):
        join(cache, user_id, SMALL)
    return AudienceCosts(rates, cache, lambda: GATEWAYS)


def join(cache: MembershipCache, user_id: str, conversation_id: str) -> None:
    cache.add_socket(Person(id=user_id))
    cache.put(Membership(conversation_id=conversation_id, user_id=user_id, joined_at=now()))


def pending(conversation_id: str) -> PendingCommit:
    return PendingCommit(Done(), cast("Future[None]", None), "record", conversation_id, "ann")


def accepted(rates: Rates, costs: AudienceCosts, clock: Clock, command: Any, result: Any) -> int:
    """Return how many of a user's commands are accepted in ten seconds."""
    count = 0
    for _ in range(1_000):
        clock.now += 0.01
        try:
            count_command(rates, "ann", command)
        except RateLimited:
            continue
        costs.charge("ann", command, result)
        count += 1
    return count


def test_sends_to_many_online_users_are_limited_by_deliveries(
    rates: Rates, costs: AudienceCosts, clock: Clock
) -> None:
    large = c.SendMessage(conversation_id=LARGE, content="hello")
    assert costs.audience(LARGE) == 1_000

    assert 20 <= accepted(rates, costs, clock, large, pending(LARGE)) < 40


def test_sends_to_few_cost_what_they_did(rates: Rates, costs: AudienceCosts, clock: Clock) -> None:
    small = c.SendMessage(conversation_id=SMALL, content="hello")

    assert 290 <= accepted(rates, costs, clock, small, pending(SMALL)) <= 301


def test_an_audience_is_found_by_the_result_of_a_command_that_names_a_message_only(
    rates: Rates, costs: AudienceCosts, clock: Clock
) -> None:
    mark = c.MarkRead(message_id="m")

    assert accepted(rates, costs, clock, mark, pending(LARGE)) < 40


def test_a_conversation_without_online_members_has_no_audience(costs: AudienceCosts) -> None:
    assert costs.audience("unknown") == 0
    assert costs.audience(None) == 0


def test_each_command_whose_event_reaches_all_members_is_charged() -> None:
    """The membership changes are not: they cost tokens of their own, by the participants they name."""
    reaching = {command for command, spec in COMMANDS.items() if spec.people_per_token is not None}

    assert reaching == {
        c.SendMessage,
        c.SendToContract,
        c.EditMessage,
        c.DeleteMessage,
        c.SetTyping,
        c.JoinRoom,
        c.LeaveRoom,
        c.MarkRead,
        c.MarkConversationRead,
        c.MarkDelivered,
    }
    assert reaching < set(get_args(c.Command))
    assert REACHED_PER_TOKEN == 100
