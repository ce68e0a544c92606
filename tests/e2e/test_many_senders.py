"""Many senders at once: no hole, no double, each sender's order, the same for all who hear."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from motor.motor_asyncio import AsyncIOMotorDatabase

from clients.chat import Town, eventually
from clients.crowd import Crowd, Voice
from clients.ledger import assert_heard, assert_kept, assert_whole
from parley.stack import Stack

SENDERS = 200
EACH = 10
PAIRS = 50
AT_ONCE = 10


@pytest.fixture
async def crowd(town: Town) -> AsyncIterator[Crowd]:
    async with Crowd(town) as crowd:
        yield crowd


async def pipeline(voice: Voice, conversation_id: str, named: bool) -> None:
    """Say everything at once, without waiting for what was said before."""
    names = [{"clientMessageId": str(uuid4())} if named else {} for _ in range(EACH)]
    said = [voice.say(conversation_id, f"{n} of {voice.user_id}", **name) for n, name in enumerate(names)]
    for answer in await asyncio.gather(*said):
        assert answer["success"] is True, answer


async def test_two_hundred_senders_of_one_conversation(
    stack: Stack, town: Town, crowd: Crowd, database: AsyncIOMotorDatabase[Any]
) -> None:
    names = [f"sender-{number}" for number in range(SENDERS)]
    group = await crowd.group(*names)
    voices = await crowd.voices(names, stack.gateway_urls)
    polling = [await crowd.voice(names[n], url, "polling") for n, url in enumerate(stack.gateway_urls)]
    through_nginx = [await crowd.voice(names[n]) for n in range(2)]
    listeners = [*polling, *through_nginx, *voices[::20]]
    await asyncio.gather(*(listener.join(group) for listener in listeners))
    assert {voice.node for voice in listeners} == {"g1", "g2"}

    await asyncio.gather(*(pipeline(v, group, n % 2 == 0) for n, v in enumerate(voices)))

    messages = await assert_whole(database, town, group, voices=voices, listeners=listeners, deadline=30)
    assert len(messages) == SENDERS * EACH
    by_id = {m["_id"]: m["seq"] for m in messages}
    for voice in voices:
        assert Counter((c["messageId"], c["seq"]) for c in voice.confirmed) == Counter(
            (m["_id"], by_id[m["_id"]]) for m in messages if m["senderId"] == voice.user_id
        )
    told = len(messages) - EACH
    await eventually(lambda: all(voice.unread.get(group) == told for voice in voices))


async def test_the_same_send_by_two_gateways_at_once_is_one_message(
    stack: Stack, town: Town, crowd: Crowd, database: AsyncIOMotorDatabase[Any]
) -> None:
    group = await crowd.group("alice", "bob")
    alice = await crowd.voices(["alice", "alice"], stack.gateway_urls)
    bob = await crowd.voices(["bob", "bob"], stack.gateway_urls)
    assert [voice.node for voice in alice] == ["g1", "g2"]
    await asyncio.gather(*(voice.join(group) for voice in [*alice, *bob]))

    said = []
    for start in range(0, PAIRS, AT_ONCE):
        pairs = [(f"pair {n}", str(uuid4())) for n in range(start, start + AT_ONCE)]
        answers = await asyncio.gather(
            *(v.say(group, content, clientMessageId=name) for content, name in pairs for v in alice)
        )
        ids = [answer["message"]["_id"] for answer in answers]
        assert ids[::2] == ids[1::2]
        said += [content for content, _ in pairs]

    messages = await assert_kept(database, group, {town.user("alice").id: said})
    await assert_heard([*alice, *bob], group, messages)
    await eventually(lambda: all(len(voice.confirmed) >= 2 * PAIRS for voice in alice))
    for voice in alice:
        once = Counter((c["clientMessageId"], c["messageId"], c["seq"]) for c in voice.confirmed)
        assert once == {(m["clientMessageId"], m["_id"], m["seq"]): 2 for m in messages}
