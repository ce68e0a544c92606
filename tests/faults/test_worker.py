"""A worker that is killed: what was accepted is stored once by the other, and everybody hears of it."""

import asyncio
import signal
from typing import Any
from uuid import uuid4

from motor.motor_asyncio import AsyncIOMotorDatabase

from clients.chat import Town, eventually
from clients.chatter import Stopwatch
from clients.crowd import Crowd, Voice
from clients.ledger import assert_whole, how_many
from clients.workers import Shares
from stack import Stack

SENDERS = [f"sender-{number}" for number in range(10)]
EACH_IN_EACH = 63
AT_ONCE = 16
TAKEOVER_SECONDS = 10.0


async def talk(voice: Voice, groups: list[str]) -> None:
    """Say a share of the 5,000: so many at a time by turns in all groups, and read now and then."""
    turns = [(n, group) for n in range(EACH_IN_EACH) for group in groups]
    for start in range(0, len(turns), AT_ONCE):
        left = turns[start : start + AT_ONCE]
        while left:
            said = [
                voice.say(group, f"{n} of {voice.user_id}", clientMessageId=str(uuid4()) if n % 2 else None)
                for n, group in left
            ]
            answers = await asyncio.gather(*said)
            left = [turn for turn, answer in zip(left, answers, strict=True) if not answer["success"]]
            assert {a["error"]["code"] for a in answers if not a["success"]} <= {"OVERLOADED"}, answers
        await voice.ask("markConversationAsRead", {"conversationId": groups[start % len(groups)]})


async def test_a_worker_killed_in_the_middle_of_5000_messages(
    fragile: Stack,
    town: Town,
    crowd: Crowd,
    database: AsyncIOMotorDatabase[Any],
    shares: Shares,
) -> None:
    groups = await crowd.groups_everywhere(*SENDERS, "idler")
    voices = await crowd.voices(SENDERS, fragile.gateway_urls)
    listeners = await crowd.ears("idler", fragile.gateway_urls)
    for listener in listeners:
        await listener.join_all(groups)
    assert await shares.of(1) == 4

    def heard() -> int:
        return sum(map(len, listeners[1].heard.values()))

    talking = asyncio.gather(*(talk(voice, groups) for voice in voices))
    await eventually(lambda: heard() > 1_500)
    fragile.signal("worker-1", signal.SIGKILL)
    watch = Stopwatch()
    stored = await how_many(database, *groups)
    await talking
    accepted = sum(len(voice.said[group]) for voice in voices for group in groups)

    takeover = await watch.until(lambda: heard() >= accepted, TAKEOVER_SECONDS)
    print(f"killed at {stored} of {accepted}, all stored {takeover:.1f} s later")
    assert stored < accepted == len(SENDERS) * EACH_IN_EACH * len(groups)
    for group in groups:
        await assert_whole(database, town, group, voices=voices, listeners=listeners)
