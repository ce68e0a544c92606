"""Partitions change hands by scaling, and nobody notices."""

import asyncio
from typing import Any

from motor.motor_asyncio import AsyncIOMotorDatabase

from clients.chat import Town
from clients.chatter import Chatter
from clients.crowd import Crowd
from clients.ledger import assert_whole
from clients.workers import Shares
from parley.stack import Stack

SENDERS = [f"sender-{number}" for number in range(6)]
PAUSE = 0.02


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
