"""The load generator on real servers: every delivery is accounted for, and a lost one is not overlooked."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clients.chat import eventually
from load.generator.fleet import Fleet
from load.generator.groups import parse_groups
from load.yardstick import Yardstick
from parley.stack import Stack

GROUPS = parse_groups("3x4,1x20@10")
CONNECTS_PER_SECOND = 200.0


@pytest.fixture
async def fleet(stack: Stack) -> AsyncIterator[Fleet]:
    """Connected clients of two processes."""
    async with Fleet([stack.url], stack.jwt_secret, GROUPS) as fleet:
        await fleet.connect(CONNECTS_PER_SECOND)
        yield fleet
        await fleet.leave()


async def test_an_open_loop_is_accounted_for_to_the_last_delivery(fleet: Fleet) -> None:
    await fleet.run_open(30, 1)
    drained = await fleet.drain()
    assert drained.balance.is_even
    assert fleet.tally.sent == fleet.tally.accepted == fleet.tally.stored == 40
    assert fleet.tally.delivered == 30 * 4 + 10 * 20
    assert fleet.tally.delivered_delays.total() == fleet.tally.delivered
    assert fleet.tally.doubled == fleet.tally.unexpected == 0


async def test_a_closed_loop_sends_until_its_end_and_is_accounted_for(fleet: Fleet) -> None:
    await fleet.run_closed(2, 1)
    drained = await fleet.drain()
    assert drained.balance.is_even
    assert fleet.tally.stored == fleet.tally.sent >= 2 * fleet.sockets


async def test_clients_that_lose_their_sockets_return_and_miss_nothing(fleet: Fleet) -> None:
    await fleet.run_open(30, 0.5)
    assert await fleet.storm(1.0) == fleet.sockets
    await fleet.run_open(30, 0.5)
    drained = await fleet.drain()
    assert drained.balance.is_even
    assert (drained.away, fleet.tally.disconnects) == (0, fleet.sockets)
    assert fleet.tally.delivered == 30 * 4 + 10 * 20
    assert fleet.tally.returned_delays


async def test_clients_are_spread_over_the_gateways_and_counted(fleet: Fleet) -> None:
    spread = await fleet.gateways()
    assert set(spread) == {"g1", "g2"}
    await eventually(lambda: fleet.connected == sum(spread.values()) == fleet.sockets)


@pytest.mark.parametrize("storage", [True, False])
async def test_the_yardstick_takes_the_same_load(stack: Stack, tmp_path: Path, storage: bool) -> None:
    with Yardstick(stack, tmp_path / "yardstick.log", storage=storage) as yardstick:
        async with Fleet(yardstick.urls, stack.jwt_secret, GROUPS, confirms=False) as fleet:
            await fleet.connect(CONNECTS_PER_SECOND)
            await fleet.run_open(30, 1)
            drained = await fleet.drain()
    assert drained.balance.is_even
    assert fleet.tally.delivered == 30 * 4 + 10 * 20
    assert fleet.tally.doubled == fleet.tally.unexpected == 0
