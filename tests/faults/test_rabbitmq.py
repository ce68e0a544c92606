"""RabbitMQ asleep, or killed when it is new."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorDatabase

from clients.chat import Town, eventually
from clients.chatter import Chatter
from clients.crowd import Crowd, Voice
from clients.ledger import assert_whole
from clients.workers import Shares
from parley.stack import Stack

PAUSE = 0.02
FROZEN_SECONDS = 40.0


async def test_rabbitmq_frozen_past_its_heartbeats_and_continued_is_worked_with_again(
    fragile: Stack,
    town: Town,
    group: str,
    voices: list[Voice],
    listeners: list[Voice],
    database: AsyncIOMotorDatabase[Any],
    shares: Shares,
) -> None:
    async with Chatter(voices, [group], PAUSE) as chatter:
        await chatter.goes_on(50)
        fragile.signal("rabbitmq", signal.SIGSTOP)
        try:
            await shares.become(0, 0, deadline=FROZEN_SECONDS)
        finally:
            fragile.signal("rabbitmq", signal.SIGCONT)
        await shares.become(4, 4, deadline=FROZEN_SECONDS)
        await chatter.goes_on(50)
    assert await assert_whole(database, town, group, voices=voices, listeners=listeners)


@pytest.fixture
async def newborn(tmp_path: Path) -> AsyncIterator[Stack]:
    """A stack that has only just declared its queues."""
    stack = Stack(tmp_path, gateways=1, workers=1, settings={"RATE_LIMITS": "off"})
    await asyncio.to_thread(stack.up)
    yield stack
    await asyncio.to_thread(stack.down)


@pytest.fixture
async def new_town(newborn: Stack) -> AsyncIterator[Town]:
    town = Town(newborn.url, newborn.jwt_secret)
    yield town
    await town.close()


async def test_rabbitmq_killed_when_its_queues_are_new_still_has_what_they_held(
    newborn: Stack, new_town: Town
) -> None:
    newborn.signal("worker-1", signal.SIGSTOP)
    async with Crowd(new_town) as crowd:
        groups = await crowd.groups_everywhere("sender", "idler")
        voice = await crowd.voice("sender")
        await asyncio.gather(*(voice.insist(group, "before") for group in groups))
        newborn.signal("rabbitmq", signal.SIGKILL)
        newborn.signal("worker-1", signal.SIGCONT)
        await asyncio.gather(*(voice.insist(group, "after") for group in groups))
        for group in groups:
            await eventually(lambda group=group: are_stored(new_town, group, ["before", "after"]))  # type: ignore[misc]


async def are_stored(town: Town, group: str, contents: list[str]) -> bool:
    return [message["content"] for message in await town.user("idler").history(group)] == contents
