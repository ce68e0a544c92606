"""Unread counts are broadcast in turns, and those of a busy conversation at most once a second."""

import asyncio
from typing import Any, cast

import pytest

from parley.gateway.live import unread_counts
from parley.gateway.live.unread_counts import CONVERSATIONS_AT_ONCE, UnreadCounts
from parley.gateway.protocols.protocol import UnreadChanged
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared.events import ConversationRead
from parley.shared.model import Membership, Message, Person, now

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


def of_ann_and_bob() -> tuple[MembershipCache, Broadcaster, UnreadCounts]:
    cache, broadcaster = MembershipCache(), Broadcaster()
    for user in ("ann", "bob"):
        cache.add_socket(Person(id=user))
        cache.put(Membership(conversation_id="c", user_id=user, joined_at=now()))
    cache.take_changed()
    return cache, broadcaster, UnreadCounts(cache, cast(Any, broadcaster))


def deliver(cache: MembershipCache, counts: UnreadCounts, seq: int) -> None:
    message = Message(
        id=f"m{seq}", conversation_id="c", sender_id="ann", content="", created_at=now(), seq=seq, rev=seq
    )
    cache.apply_message(message)
    counts.broadcast_of("c")


def read_by_bob(seq: int) -> ConversationRead:
    return ConversationRead(
        record_id=f"r{seq}",
        conversation_id="c",
        user_id="bob",
        seq=seq,
        message_id=f"m{seq}",
        own_since_read=0,
        own_seq=0,
        at=now(),
    )


async def test_the_counts_of_a_quiet_conversation_follow_a_message_at_once() -> None:
    cache, broadcaster, counts = of_ann_and_bob()

    deliver(cache, counts, 1)

    assert broadcaster.counts == [UnreadChanged("bob", "c", 1, 1)]


async def test_the_counts_of_a_busy_conversation_wait_and_the_last_one_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unread_counts, "BUSY_SECONDS", 3600.0)
    cache, broadcaster, counts = of_ann_and_bob()
    for seq in range(1, 10):
        deliver(cache, counts, seq)
        await counts.broadcast_in_turns()
    assert [count.unread for count in broadcaster.counts] == [1]

    monkeypatch.setattr(unread_counts, "BUSY_SECONDS", 0.0)
    await counts.broadcast_in_turns()

    assert [count.unread for count in broadcaster.counts] == [1, 9]
    await counts.broadcast_in_turns()
    assert not counts._busy
    assert not counts._waiting
    assert len(broadcaster.counts) == 2


async def test_a_user_who_has_read_a_busy_conversation_gets_the_count_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unread_counts, "BUSY_SECONDS", 3600.0)
    cache, broadcaster, counts = of_ann_and_bob()
    deliver(cache, counts, 1)
    deliver(cache, counts, 2)

    assert broadcaster.counts == [UnreadChanged("bob", "c", 1, 1)]
    cache.apply_read(read_by_bob(2))
    await counts.broadcast_in_turns()
    assert broadcaster.counts[1:] == [UnreadChanged("bob", "c", 0, 0)]


async def test_a_user_who_has_read_gets_the_count_that_was_reported_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unread_counts, "BUSY_SECONDS", 3600.0)
    cache, broadcaster, counts = of_ann_and_bob()
    deliver(cache, counts, 1)
    deliver(cache, counts, 2)

    # By HTTP bob has learned of two unread messages meanwhile.
    cache.apply_read(read_by_bob(1))
    await counts.broadcast_in_turns()

    assert broadcaster.counts[1:] == [UnreadChanged("bob", "c", 1, 1)]
