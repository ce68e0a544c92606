"""The removal watch removes whom the bus has forgotten, and nobody who is a member again."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from clients.chat import eventually
from fakes.memory_bus import InMemoryPubSub
from fakes.memory_queue import Partition
from fakes.memory_store import Tables
from model.node import CONNECTED, Node
from parley.gateway.live.removal_watch import OVERLAP_SECONDS, RemovalWatch
from parley.shared.model import Conversation, Membership, now

ANN, BEN, C = "ann", "ben", "conversation"


class Watched:
    """A node with ben connected, and the removals that its watch asks for."""

    def __init__(self) -> None:
        self.node = Node("n", Tables(), Partition(), InMemoryPubSub(), set())
        self.received: list[Any] = []
        self.seconds = 100.0
        self.asked: list[float] = []
        self.watch = RemovalWatch(
            memberships=self,  # type: ignore[arg-type]
            membership_cache=self.node.membership_cache,
            local_conversations=self.node.live.local_conversations,
            presence_tracker=self.node.live.presence_tracker,
            clock=lambda: self.seconds,
        )

    async def removed(self, within: float, until: float) -> list[Membership]:
        self.asked.append(within)
        found: list[Membership] = await self.node.ports.memberships.removed(within, 0)
        return found

    async def get(self, conversation_id: str, user_id: str) -> Membership | None:
        found: Membership | None = await self.node.ports.memberships.get(conversation_id, user_id)
        return found

    def removals(self) -> int:
        return sum(data[0] == "participantRemoved" for data in self.received if isinstance(data, list))


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    watched = Watched()
    conversation = Conversation(id=C, kind="group", created_by=ANN, created_at=now())
    members = [Membership(conversation_id=C, user_id=user, joined_at=now()) for user in (ANN, BEN)]
    await watched.node.ports.conversations.create(conversation, members)
    watched.node.connect("n.1", BEN, "/chat", watched.received.append)
    await eventually(lambda: CONNECTED in watched.received)
    yield watched
    await watched.node.background.stop()


async def test_a_user_whose_removal_was_lost_is_removed_once(watched: Watched) -> None:
    await watched.node.ports.membership_changes.remove(C, BEN)
    for _ in range(2):
        await watched.watch.check()
    assert watched.node.membership_cache.role(C, BEN) is None
    assert watched.removals() == 1


async def test_a_user_who_was_added_again_stays(watched: Watched) -> None:
    changes = watched.node.ports.membership_changes
    await changes.remove(C, BEN)
    stale = await watched.removed(60, 0)
    await changes.add([Membership(conversation_id=C, user_id=BEN, joined_at=now())])
    watched.removed = lambda *_: _answer(stale)  # type: ignore[method-assign]
    await watched.watch.check()
    assert watched.node.membership_cache.role(C, BEN) == "member"


async def _answer(value: Any) -> Any:
    return value


async def test_removals_during_an_outage_of_the_database_are_asked_for_afterwards(watched: Watched) -> None:
    watched.seconds += 50
    await watched.watch.check()
    watched.seconds += 1
    await watched.watch.check()
    assert watched.asked == [50 + OVERLAP_SECONDS, 1 + OVERLAP_SECONDS]
