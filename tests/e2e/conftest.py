"""Fixtures of the tests of bad input: conversations that must not change, and logs without errors."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from clients.baseline import Baseline
from clients.chat import ChatUsers
from clients.fuzz import is_long
from clients.healthy_user import HealthyUser
from parley.stack import Stack

SERVICES = ("gateway-1", "gateway-2", "worker-1", "worker-2")
GAUGES = r'^parley_(held\{what="(?:sessions|seats)"\}) (\S+)'
# A closed socket is reaped, and its ping task ends, half a minute later.
LONG_GAUGES = r'^parley_(tasks|held\{what="(?:sockets|sessions|seats)"\}) (\S+)'
STRAY_TASKS = 10
ALARMS = ("Traceback", '"level": "error"', " ERROR ", " CRITICAL ")


@pytest.fixture
async def baseline(users: ChatUsers, database: Any) -> AsyncIterator[Baseline]:
    """Two conversations whose stored state must be the same after the test."""
    baseline = await Baseline(users, database).prepare()
    yield baseline
    await baseline.assert_unchanged()


@pytest.fixture
async def healthy_user(users: ChatUsers) -> HealthyUser:
    """A user that the gateways must go on serving."""
    return await HealthyUser(users).connect()


@pytest.fixture
def quiet(stack: Stack) -> Iterator[None]:
    """No service logs an error: a client's mistake is not one."""
    starts = {name: stack.log(name).stat().st_size for name in SERVICES}
    yield
    for name, start in starts.items():
        sent = stack.log(name).read_bytes()[start:].decode()
        assert not any(alarm in sent for alarm in ALARMS), sent


@pytest.fixture(scope="module")
async def nothing_left(stack: Stack) -> AsyncIterator[None]:
    """After these tests the gateways hold nothing of their clients that they did not hold before."""
    before = await _held(stack)
    yield

    deadline = time.monotonic() + (60 if is_long() else 10)
    while more := _more(before, await _held(stack)):
        assert time.monotonic() < deadline, more
        await asyncio.sleep(0.1)


def _more(before: dict[str, float], now: dict[str, float]) -> dict[str, tuple[float, float]]:
    spare = {name: STRAY_TASKS * name.startswith("tasks") for name in before}
    return {name: (held, now[name]) for name, held in before.items() if now[name] > held + spare[name]}


async def _held(stack: Stack) -> dict[str, float]:
    held: dict[str, float] = {}
    async with aiohttp.ClientSession() as http:
        for url in stack.gateway_urls:
            text = await (await http.get(f"{url}/metrics")).text()
            for name, value in re.findall(LONG_GAUGES if is_long() else GAUGES, text, re.M):
                held[f"{name} of {url}"] = float(value)
    return held
