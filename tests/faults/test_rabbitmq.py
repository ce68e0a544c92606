"""RabbitMQ stopped, killed, or its connections closed: sends are refused at once, or go through whole."""

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorDatabase

from clients.chat import Town, eventually
from clients.chatter import Chatter, Stopwatch
from clients.crowd import Crowd, Voice
from clients.ledger import assert_whole
from clients.workers import Shares
from stack import Stack

PAUSE = 0.02
REFUSED_SECONDS = 2.0
BACK_SECONDS = 5.0
FROZEN_SECONDS = 40.0
RESTARTED_SECONDS = 15.0
"""For RabbitMQ's own start, and the services' return to it."""


async def test_without_rabbitmq_sends_are_refused_and_reading_goes_on(
    fragile: Stack,
    town: Town,
    group: str,
    voices: list[Voice],
    listeners: list[Voice],
    database: AsyncIOMotorDatabase[Any],
) -> None:
    async with Chatter(voices, [group], PAUSE) as chatter:
        await chatter.goes_on(100)
        await asyncio.to_thread(fragile.stop, "rabbitmq")
        stopped, accepted = Stopwatch(), len(chatter.accepted)
        await stopped.until(lambda: all(len(voice.refused) > 3 for voice in voices), 10)
        # Those that were accepted before may still be on their way to the client.
        assert len(chatter.accepted) - accepted <= len(voices)
        assert len(await town.user("idler").history(group)) > 0
        synced = await listeners[0].ask("sync", {"conversations": {group: 0}})
        assert synced["success"] is True
        await asyncio.to_thread(fragile.start, "rabbitmq")
        back = Stopwatch()
        accepted = len(chatter.accepted)
        working = await back.until(lambda: len(chatter.accepted) > accepted, BACK_SECONDS)
        await chatter.goes_on(100)

    refusals = [refusal for voice in voices for refusal in voice.refused]
    slowest = max(refusal["seconds"] for refusal in refusals)
    print(f"{len(refusals)} refused in {slowest:.2f} s at most, working {working:.1f} s after the return")
    assert {refusal["code"] for refusal in refusals} == {"UNAVAILABLE"}
    assert slowest < REFUSED_SECONDS
    await assert_whole(database, town, group, voices=voices, listeners=listeners)


async def test_connections_that_rabbitmq_closes_cost_nothing(
    fragile: Stack,
    town: Town,
    group: str,
    voices: list[Voice],
    listeners: list[Voice],
    database: AsyncIOMotorDatabase[Any],
) -> None:
    async with Chatter(voices, [group]) as chatter:
        await chatter.goes_on(300)
        before = time.monotonic()
        await asyncio.to_thread(fragile.rabbitmqctl, "close_all_connections", "a test")
        await chatter.goes_on(300)
        gap = longest_gap([at for at in chatter.accepted if at > before])
        print(f"the longest gap between two accepted sends was {gap:.2f} s")
        assert gap < BACK_SECONDS

    await assert_whole(database, town, group, voices=voices, listeners=listeners)


async def test_rabbitmq_killed_under_load_comes_back_with_all_that_it_had(
    fragile: Stack,
    town: Town,
    group: str,
    voices: list[Voice],
    listeners: list[Voice],
    database: AsyncIOMotorDatabase[Any],
) -> None:
    async with Chatter(voices, [group], PAUSE) as chatter:
        for _ in range(3):
            await chatter.goes_on(100)
            refused = [len(voice.refused) for voice in voices]
            fragile.signal("rabbitmq", signal.SIGKILL)
            killed = Stopwatch()
            await killed.until(lambda before=refused: all_refused(voices, before), 10)  # type: ignore[misc]
            await chatter.goes_on(100, RESTARTED_SECONDS)
            print(f"100 more were accepted {killed.seconds:.1f} s after the kill")
    await assert_whole(database, town, group, voices=voices, listeners=listeners)


def all_refused(voices: list[Voice], before: list[int]) -> bool:
    return all(len(voice.refused) > count for voice, count in zip(voices, before, strict=True))


def longest_gap(times: list[float]) -> float:
    return max(later - earlier for earlier, later in itertools.pairwise(times))


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
    stack = Stack(tmp_path, gateways=1, workers=1)
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
