"""The audits find what the bus has lost, and read little at a time, however many conversations there are."""

from collections.abc import AsyncIterator, Collection
from typing import Any

import pytest

from clients.chat import eventually
from fakes.memory_bus import InMemoryPubSub
from fakes.memory_queue import Partition
from fakes.memory_store import Tables
from model.node import CONNECTED, Node
from parley.gateway.live import reconciler
from parley.gateway.live.audits import CLOCK_SECONDS, HEADS_AT_ONCE, Audits
from parley.shared.model import Conversation, Membership, now

ANN, BEN = "ann", "ben"


class Audited:
    """A node with ben connected, its audits, and what they ask the database for."""

    def __init__(self, conversations: int) -> None:
        self.node = Node("n", Tables(), Partition(), InMemoryPubSub(), set())
        self.received: list[Any] = []
        self.seconds = 100.0
        self.heads: list[int] = []
        self.users: list[int] = []
        self.joins: list[float] = []
        self.ids = [f"c{each}" for each in range(conversations)]
        self.audits = Audits(
            reconciler=self.node.live.reconciler,
            streams=self.node.delivery.streams,
            sessions=self.node.delivery.sessions,
            membership_cache=self.node.membership_cache,
            seconds=20.0,
            clock=lambda: self.seconds,
        )

    async def begin(self, conversation_id: str, *users: str) -> None:
        """Store a conversation without any event."""
        conversation = Conversation(id=conversation_id, kind="group", created_by=ANN, created_at=now())
        members = [Membership(conversation_id=conversation_id, user_id=u, joined_at=now()) for u in users]
        await self.node.ports.conversations.create(conversation, members)

    async def connect(self) -> None:
        """Connect ben, and note from then on what is asked for."""
        for each in self.ids:
            await self.begin(each, ANN, BEN)
        self.node.connect("n.1", BEN, "/chat", self.received.append)
        await eventually(lambda: CONNECTED in self.received)
        await eventually(lambda: len(self.node.delivery.streams.ids()) == len(self.ids))
        conversations, memberships = self.node.ports.conversations, self.node.ports.memberships
        revisions, of_users, joined = conversations.revisions, memberships.of_users, memberships.joined

        async def noted_revisions(ids: Collection[str]) -> dict[str, int]:
            self.heads.append(len(ids))
            return await revisions(ids)

        async def noted_users(ids: Collection[str]) -> list[Membership]:
            self.users.append(len(ids))
            return await of_users(ids)

        async def noted_joins(within: float, _until: float) -> list[Membership]:
            self.joins.append(within)
            return await joined(within, 0)

        for port, name, noted in (
            (conversations, "revisions", noted_revisions),
            (memberships, "of_users", noted_users),
            (memberships, "joined", noted_joins),
        ):
            setattr(port, name, noted)


@pytest.fixture
async def audited(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Audited]:
    monkeypatch.setattr(reconciler, "GRACE_SECONDS", 0)
    audited = Audited(getattr(request, "param", 1))
    await audited.connect()
    yield audited
    await audited.node.background.stop()


async def test_a_user_whose_joining_was_lost_is_admitted(audited: Audited) -> None:
    await audited.begin("new", ANN, BEN)
    await audited.audits.check_joins()
    assert audited.node.membership_cache.role("new", BEN) == "member"
    await eventually(lambda: "new" in audited.node.delivery.streams.ids())


async def test_joins_during_an_outage_of_the_database_are_asked_for_afterwards(audited: Audited) -> None:
    audited.seconds += 50
    await audited.audits.check_joins()
    audited.seconds += 20
    await audited.audits.check_joins()
    assert audited.joins == [50 + CLOCK_SECONDS, 20 + CLOCK_SECONDS]


@pytest.mark.parametrize("audited", [2 * HEADS_AT_ONCE + 1], indirect=True)
async def test_one_step_reads_a_bounded_number_of_heads_and_all_are_read_in_a_round(audited: Audited) -> None:
    for audited.seconds in range(119, 124):
        await audited.audits.check_some_heads()
    assert audited.heads == [HEADS_AT_ONCE, HEADS_AT_ONCE, 1]


async def test_the_memberships_of_all_users_are_read_in_a_round(audited: Audited) -> None:
    for audited.seconds in range(119, 124):
        await audited.audits.check_some_memberships()
    assert audited.users == [1]


async def test_a_check_of_nobody_asks_the_database_for_nothing(audited: Audited) -> None:
    await audited.audits.check_some_heads()
    await audited.audits.check_some_memberships()
    assert audited.heads == audited.users == []
