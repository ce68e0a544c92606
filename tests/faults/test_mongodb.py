"""MongoDB stopped: sends are accepted and wait, reading is refused, and everything drains in order."""

import asyncio
from typing import Any

from motor.motor_asyncio import AsyncIOMotorDatabase

from clients.chat import Town, eventually
from clients.chatter import Chatter, Stopwatch
from clients.crowd import Crowd
from clients.ledger import assert_whole
from clients.workers import DeadLetters
from stack import Stack

SENDERS = [f"sender-{number}" for number in range(6)]
PAUSE = 0.05
AWAY_SECONDS = 10.0
REFUSED_SECONDS = 5.0


async def test_mongodb_away_for_ten_seconds_under_load(
    fragile: Stack, town: Town, crowd: Crowd, database: AsyncIOMotorDatabase[Any], dead_letters: DeadLetters
) -> None:
    group = await crowd.group(*SENDERS, "idler")
    voices = await crowd.voices(SENDERS, fragile.gateway_urls)
    listeners = await crowd.ears("idler", fragile.gateway_urls)
    for listener in listeners:
        await listener.join(group)

    async with Chatter(voices, [group], PAUSE) as chatter:
        await chatter.goes_on(100)
        await asyncio.to_thread(fragile.stop, "mongodb")
        away, before = Stopwatch(), len(chatter.accepted)
        status, body = await town.user("idler").rest("GET", f"/chats/conversations/{group}/messages")
        refused = away.seconds
        await away.until(lambda: away.seconds > AWAY_SECONDS, AWAY_SECONDS + 1)
        waiting = len(chatter.accepted) - before
        await asyncio.to_thread(fragile.start, "mongodb")
        back, accepted = Stopwatch(), len(chatter.accepted)
        drained = await back.until(
            lambda: all(len(listener.heard[group]) >= accepted for listener in listeners), 15
        )

    print(f"REST refused in {refused:.1f} s, {waiting} accepted meanwhile, drained after {drained:.1f} s")
    assert (status, body["success"], body["error"]["retryable"]) == (503, False, True)
    assert refused < REFUSED_SECONDS
    assert waiting > 100
    await eventually(lambda: all(voice.refused == [] for voice in voices))
    await assert_whole(database, town, group, voices=voices, listeners=listeners)
    assert await dead_letters.take() == []
    assert all(voice.trouble == [] for voice in [*voices, *listeners])
