"""The arithmetic of the scale model."""

from dataclasses import replace

import pytest

from load.scale_model.measure import UnitCosts
from load.scale_model.model import (
    Capacity,
    Workload,
    by_cause,
    full_at,
    gateway_bytes,
    processor,
    redis_bytes,
    subscriptions,
    usage,
)

NOTHING = UnitCosts(
    idle={},
    socket={},
    audit={},
    connect={},
    conversation={},
    presence_received={},
    presence_delivery={},
    message={},
    touched={},
    delivery={},
    memory={"gateway": 0, "redis": 0, "socket": 0, "membership": 0, "subscription": 0, "message": 0},
    channels={"gateway": 1, "user": 1, "conversation": 1},
)
LOAD = Workload(users=1_000, gateways=10, conversations=10, size=10, messages=0.1, session=100)


def test_a_message_touches_as_many_gateways_as_hold_a_member() -> None:
    assert replace(LOAD, gateways=1).touched == 1
    assert replace(LOAD, size=1).touched == pytest.approx(1)
    assert replace(LOAD, gateways=1_000_000).touched == pytest.approx(10, rel=1e-3)


def test_each_unit_cost_counts_as_often_as_it_occurs() -> None:
    second = {"gateways": 1.0}
    costs = replace(
        NOTHING,
        connect=second,
        conversation=second,
        presence_received=second,
        presence_delivery=second,
        message=second,
        delivery=second,
    )

    causes = by_cause(costs, LOAD, "gateways")

    assert causes["connects"] == 10
    assert causes["conversations of a connect"] == 100
    assert causes["presence received"] == 20 * 9
    assert causes["presence delivered"] == 20 * 90
    assert causes["messages"] == 100
    assert causes["deliveries"] == 1_000
    assert processor(costs, LOAD, "gateways") == sum(causes.values())


def test_presence_costs_redis_the_square_of_the_number_of_gateways() -> None:
    costs = replace(NOTHING, touched={"redis": 1.0, "gateways": 1.0})
    busy = replace(LOAD, users=1_000_000, messages=0)

    few, many = (processor(costs, replace(busy, gateways=count), "redis") for count in (10, 100))

    assert many == pytest.approx(100 * few)
    assert processor(costs, busy, "gateways") == 0


def test_a_gateway_subscribes_to_its_users_and_to_the_conversations_that_have_a_member_there() -> None:
    assert subscriptions(NOTHING, replace(LOAD, gateways=1)) == 1 + 1_000 + 1_000
    spread = subscriptions(NOTHING, LOAD)
    assert spread == pytest.approx(1 + 100 + 1_000 * LOAD.touched / 10)
    costs = replace(NOTHING, memory={**NOTHING.memory, "redis": 5, "subscription": 2})
    assert redis_bytes(costs, LOAD) == pytest.approx(5 + 2 * 10 * spread)


def test_the_memory_of_a_gateway_is_that_of_its_sockets_and_their_memberships() -> None:
    memory = {**NOTHING.memory, "gateway": 1_000, "socket": 10, "membership": 1}
    assert gateway_bytes(replace(NOTHING, memory=memory), LOAD) == 1_000 + 100 * (10 + 9)


def test_the_fullest_resource_comes_first_and_is_full_at_the_calculated_users() -> None:
    costs = replace(NOTHING, message={"workers": 0.001, "gateways": 0.001})
    capacity = Capacity(partitions=2)
    first = usage(costs, replace(LOAD, users=30_000), capacity)[0]
    assert (first.part, first.resource) == ("workers", "processor")
    assert first.share == pytest.approx(1.5)
    assert full_at(costs, LOAD, capacity, "workers", "processor") == pytest.approx(20_000, rel=0.02)
