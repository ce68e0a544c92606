"""The unread counts of a new socket are broadcast in turns, so that other clients are not held up."""

import asyncio
from typing import Any, cast

from parley.gateway.live.unread_counts import CONVERSATIONS_AT_ONCE, UnreadCounts
from parley.gateway.protocols.protocol import UnreadChanged
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared.model import Membership, Person, now

CONVERSATIONS = 4 * CONVERSATIONS_AT_ONCE


class Broadcaster:
    def __init__(self) -> None:
        self.counts: list[UnreadChanged] = []

    def broadcast(self, event: UnreadChanged) -> None:
        self.counts.append(event)


async def test_counts_of_many_conversations_are_broadcast_in_turns_and_completely() -> None:
    cache, broadcaster = MembershipCache(), Broadcaster()
    cache.add_socket(Person(id="ann"))
    for number in range(CONVERSATIONS):
        cache.put(Membership(conversation_id=f"c{number}", user_id="ann", joined_at=now()))
        cache.advance(f"c{number}", 1)
    counts = UnreadCounts(cache, cast(Any, broadcaster))

    broadcasting = asyncio.create_task(counts.broadcast_in_turns())
    turns = []
    while not broadcasting.done():
        await asyncio.sleep(0)
        turns.append(len(broadcaster.counts))

    assert len(broadcaster.counts) == CONVERSATIONS
    assert {count.conversation_id for count in broadcaster.counts} == {f"c{n}" for n in range(CONVERSATIONS)}
    assert broadcaster.counts[-1].total == CONVERSATIONS
    steps = [later - earlier for earlier, later in zip([0, *turns], turns, strict=False)]
    assert max(steps) <= CONVERSATIONS_AT_ONCE
