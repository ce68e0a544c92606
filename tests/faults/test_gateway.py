"""A gateway that is killed or stopped: its clients go on at the other, and miss nothing."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorDatabase

from clients.chat import Town, eventually
from clients.chatter import Chatter, Stopwatch
from clients.crowd import Crowd, Voice
from clients.ledger import assert_counted, assert_numbered, assert_whole
from clients.returning import Returning
from stack import Stack

SENDERS = [f"sender-{number}" for number in range(12)]
PAUSE = 0.02
BACK_SECONDS = 2.0
LEASE_SECONDS = 15.0
EXIT_SECONDS = 15.0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_clients_of_a_lost_gateway_hold_what_the_database_holds(
    fragile: Stack, town: Town, crowd: Crowd, database: AsyncIOMotorDatabase[Any], how: signal.Signals
) -> None:
    group = await crowd.group(*SENDERS)
    voices = [await crowd.add(Returning(town.user(name), town.url)) for name in SENDERS]
    await asyncio.gather(*(voice.join(group) for voice in voices))
    theirs = [voice for voice in voices if voice.node == "g1"]
    others = [voice for voice in voices if voice.node != "g1"]
    assert theirs
    assert others

    async with Chatter(voices, [group], PAUSE) as chatter:
        await chatter.goes_on(200)
        fragile.signal("gateway-1", how)
        await eventually(lambda: all(voice.absences for voice in theirs))
        await chatter.goes_on(200)

    absences = [voice.absences[0] for voice in theirs]
    print(f"{len(theirs)} clients were away for {min(absences):.2f} to {max(absences):.2f} s")
    assert max(absences) < BACK_SECONDS
    messages = await assert_whole(database, town, group, voices=voices, listeners=others)
    stored = {message["seq"]: message["content"] for message in messages}
    await eventually(lambda: all(len(voice.held[group]) >= len(stored) for voice in voices))
    assert [v.user_id for v in voices if v.held[group] != stored] == []


async def test_presence_is_right_within_the_lease_of_a_killed_gateway(
    fragile: Stack, town: Town, crowd: Crowd
) -> None:
    await crowd.group("goes", "returns", "watches")
    dying, staying = fragile.gateway_urls
    watcher = await crowd.voice("watches", staying)
    goes, returns = await crowd.voices(["goes", "returns"], [dying])
    await eventually(lambda: [*watcher.status.values()] == ["online", "online"])

    fragile.signal("gateway-1", signal.SIGKILL)
    watch = Stopwatch()
    await crowd.voice("returns", staying)

    gone = await watch.until(lambda: watcher.status[goes.user_id] == "offline", LEASE_SECONDS + 2)
    print(f"offline {gone:.1f} s after the kill")
    assert watcher.status[returns.user_id] == "online"
    answer = await watcher.ask("getOnlineUsers", {})
    assert set(answer["users"]) == {returns.user_id, watcher.user_id}


async def test_a_gateway_told_to_stop_keeps_what_it_acknowledged(
    fragile: Stack, town: Town, crowd: Crowd, database: AsyncIOMotorDatabase[Any]
) -> None:
    group = await crowd.group(*SENDERS)
    voices = await crowd.voices(SENDERS, fragile.gateway_urls[:1])
    stopping = fragile.pid("gateway-1")

    talking = [asyncio.create_task(say_until_cut_off(voice, group)) for voice in voices]
    await eventually(lambda: sum(len(voice.said[group]) for voice in voices) > 500)
    fragile.signal("gateway-1", signal.SIGTERM)
    watch = Stopwatch()
    await asyncio.gather(*talking)
    await eventually(lambda: not _runs(stopping), EXIT_SECONDS)
    print(f"ended {watch.seconds:.1f} s after SIGTERM")

    async def everything_is_stored() -> bool:
        stored = {m["content"] async for m in database.messages.find({"conversationId": group})}
        return {content for voice in voices for content in voice.said[group]} <= stored

    await eventually(everything_is_stored)
    messages = await database.messages.find({"conversationId": group}).sort("seq", 1).to_list(None)
    assert_numbered(messages)
    for voice in voices:
        stored = [m["content"] for m in messages if m["senderId"] == voice.user_id]
        assert stored[: len(voice.said[group])] == voice.said[group]
        assert len(set(stored)) == len(stored)
    await assert_counted(database, town, group)


async def say_until_cut_off(voice: Voice, group: str) -> None:
    """Say ten things at a time until the socket is closed."""
    number = 0
    while True:
        said = [voice.say(group, f"{n} of {voice.user_id}") for n in range(number, number + 10)]
        number += 10
        answers = await asyncio.gather(*said, return_exceptions=True)
        if any(isinstance(answer, BaseException) or not answer["success"] for answer in answers):
            return


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
