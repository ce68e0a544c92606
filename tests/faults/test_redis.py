"""Redis is killed or away: sends go on, and the live stream heals what it lost."""

import asyncio
import signal
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from motor.motor_asyncio import AsyncIOMotorDatabase

from clients.chat import Town, eventually
from clients.chatter import Chatter, Stopwatch
from clients.crowd import Voice
from clients.ledger import assert_whole, how_many
from stack import Stack
from stack.readiness import redis_answers

NOT_READY_SECONDS = 5.0
BACK_SECONDS = 5.0
PAUSE = 0.02


def answers(stack: Stack) -> bool:
    return redis_answers(urlsplit(stack.redis_url).port or 0)()


async def ready(stack: Stack) -> list[bool]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
        statuses = []
        for url in stack.gateway_urls:
            async with http.get(f"{url}/readyz") as answer:
                statuses.append(answer.status == 200)
        return statuses


async def online(voice: Voice) -> set[str]:
    answer = await voice.ask("getOnlineUsers", {})
    return set(answer["users"]) if answer["success"] else set()


async def sees(voice: Voice, users: set[str]) -> None:
    async def right() -> bool:
        await asyncio.sleep(0.1)
        return await online(voice) == users

    await eventually(right)


async def healed(chatter: Chatter, listeners: list[Voice], group: str) -> float:
    """How long it takes from now until everything accepted before now is heard by all."""
    watch, accepted = Stopwatch(), len(chatter.accepted)
    return await watch.until(
        lambda: all(len(listener.heard[group]) >= accepted for listener in listeners), BACK_SECONDS
    )


async def test_redis_killed_in_the_middle_of_messages(
    fragile: Stack,
    town: Town,
    group: str,
    voices: list[Voice],
    listeners: list[Voice],
    database: AsyncIOMotorDatabase[Any],
) -> None:
    async with Chatter(voices, [group], PAUSE) as chatter:
        await chatter.goes_on(200)
        fragile.signal("redis", signal.SIGKILL)
        assert not answers(fragile)
        killed = len(chatter.accepted)
        await eventually(lambda: answers(fragile))
        print(f"{len(chatter.accepted) - killed} accepted while away", end=", ")
        print(f"healed {await healed(chatter, listeners, group):.1f} s after the return")
        await chatter.goes_on(200)
    assert all(voice.refused == [] for voice in voices)
    await assert_whole(database, town, group, voices=voices, listeners=listeners)
    everyone = {voice.user_id for voice in [*voices, *listeners]}
    for voice in voices:
        await sees(voice, everyone)


async def test_redis_away_until_the_gateways_are_not_ready(
    fragile: Stack,
    town: Town,
    group: str,
    voices: list[Voice],
    listeners: list[Voice],
    database: AsyncIOMotorDatabase[Any],
) -> None:
    *voices, leaver = voices

    async def nobody_is_ready() -> bool:
        return not any(await ready(fragile))

    async def all_are_ready() -> bool:
        return all(await ready(fragile))

    async with Chatter(voices, [group], PAUSE) as chatter:
        await chatter.goes_on(50)
        await asyncio.to_thread(fragile.stop, "redis")
        watch = Stopwatch()
        await leaver.close()
        print(f"not ready after {await watch.until(nobody_is_ready, NOT_READY_SECONDS):.1f} s", end=", ")
        accepted = len(chatter.accepted)

        async def stored() -> bool:
            await asyncio.sleep(0.1)
            return await how_many(database, group) >= accepted

        await eventually(stored)
        assert not answers(fragile)
        await asyncio.to_thread(fragile.start, "redis")
        print(f"healed {await healed(chatter, listeners, group):.1f} s after the return")
        await eventually(all_are_ready)
    assert all(voice.refused == [] for voice in voices)
    await assert_whole(database, town, group, voices=voices, listeners=listeners)
    for voice in voices:
        await sees(voice, {one.user_id for one in [*voices, *listeners]})
    # They were told that the leaver was online; only a word takes that back.
    await eventually(lambda: all(voice.status.get(leaver.user_id) == "offline" for voice in voices))


async def test_marks_that_were_set_while_redis_was_away_are_told_when_it_is_back(
    fragile: Stack, town: Town, database: AsyncIOMotorDatabase[Any]
) -> None:
    alice, bob = await town.sockets("alice", "bob")
    group = await town.group(alice, "bob")
    for socket in (alice, bob):
        await socket.do("joinRoom", {"conversationId": group})
    await alice.say(group, "hello")
    heard = await bob.hears("newMessage", conversationId=group)

    await asyncio.to_thread(fragile.stop, "redis")
    await bob.do("markAsRead", {"messageId": heard["message"]["_id"]})

    async def stored() -> bool:
        member = await database.memberships.find_one({"_id": f"{group}:{town.user('bob').id}"})
        return bool(member and member["readSeq"] == 1)

    await eventually(stored)
    await asyncio.to_thread(fragile.start, "redis")

    receipt = await alice.hears("conversationRead", conversationId=group)
    assert (receipt["readBy"], receipt["seq"]) == (town.user("bob").id, 1)
    await bob.hears("unreadCount", conversationId=group, unread=0)
