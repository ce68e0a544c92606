"""Partitions change hands, by scaling and by a worker that sleeps, and nobody notices."""

import asyncio
import signal
from typing import Any

from motor.motor_asyncio import AsyncIOMotorDatabase

from clients.chat import Town, eventually
from clients.chatter import Chatter, Stopwatch
from clients.crowd import Crowd
from clients.ledger import assert_whole
from clients.workers import Shares
from stack import Stack

SENDERS = [f"sender-{number}" for number in range(6)]
PAUSE = 0.02
FROZEN_SECONDS = 20.0
"""RabbitMQ gives a worker up after two to three heartbeats of 4 s."""


async def test_a_third_worker_takes_its_share_and_gives_it_back(
    fragile: Stack, town: Town, crowd: Crowd, shares: Shares, database: AsyncIOMotorDatabase[Any]
) -> None:
    groups = await crowd.groups_everywhere(*SENDERS, "idler")
    voices = await crowd.voices(SENDERS, fragile.gateway_urls)
    listeners = await crowd.ears("idler", fragile.gateway_urls)
    for listener in listeners:
        await listener.join_all(groups)

    async with Chatter(voices, groups, PAUSE) as chatter:
        await chatter.goes_on(100)
        await asyncio.to_thread(fragile.scale, workers=3)
        await shares.become(2, 3, 3)
        await chatter.goes_on(100)
        await asyncio.to_thread(fragile.scale, workers=2)
        await shares.become(4, 4)
        await chatter.goes_on(100)

    assert all(voice.refused == [] for voice in voices)
    for group in groups:
        await assert_whole(database, town, group, voices=voices, listeners=listeners)


async def test_a_worker_that_sleeps_is_replaced_and_harmless_when_it_wakes(
    fragile: Stack, town: Town, crowd: Crowd, shares: Shares, database: AsyncIOMotorDatabase[Any]
) -> None:
    groups = await crowd.groups_everywhere(*SENDERS, "idler")
    voices = await crowd.voices(SENDERS, fragile.gateway_urls)
    listeners = await crowd.ears("idler", fragile.gateway_urls)
    for listener in listeners:
        await listener.join_all(groups)

    async def all_taken() -> bool:
        await asyncio.sleep(0.1)
        return await shares.of(2) == 8

    try:
        async with Chatter(voices, groups) as chatter:
            await chatter.goes_on(300)
            fragile.signal("worker-1", signal.SIGSTOP)
            watch = Stopwatch()
        async with Chatter(voices, groups, PAUSE) as chatter:
            print(f"replaced after {await watch.until(all_taken, FROZEN_SECONDS):.1f} s")
            await chatter.goes_on(50)
            fragile.signal("worker-1", signal.SIGCONT)
            await shares.become(4, 4)
            await chatter.goes_on(50)
    finally:
        fragile.signal("worker-1", signal.SIGCONT)

    await eventually(lambda: all(voice.refused == [] for voice in voices))
    for group in groups:
        await assert_whole(database, town, group, voices=voices, listeners=listeners)
