"""A member removed while connecting or joining stays out, though an earlier read still found the member."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest

from clients.chat import eventually
from fakes.memory_archive import MemoryHistory
from fakes.memory_bus import InMemoryPubSub
from fakes.memory_queue import Partition
from fakes.memory_store import Tables
from model.node import CONNECTED, REFUSED, Node
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import SavedProfile, UserConversations
from parley.gateway.live import user_loader
from parley.shared import rooms
from parley.shared.events import ConversationCreated, MembersAdded
from parley.shared.model import Conversation, Membership, Person, now

ANN, BEN, C, D = "ann", "ben", "conversation", "other"


class Late:
    """Reads whose answers arrive after something else has happened."""

    def __init__(self, inner: Any, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._inner = inner
        self._meanwhile = meanwhile

    async def get(self, conversation_id: str, user_id: str) -> Membership | None:
        return await self._after(await self._inner.get(conversation_id, user_id))

    async def begin(self, user_id: str) -> tuple[set[str], SavedProfile | None]:
        found: tuple[set[str], SavedProfile | None] = await self._after(await self._inner.begin(user_id))
        return found

    async def load(self, *args: Any) -> UserConversations:
        found: UserConversations = await self._after(await self._inner.load(*args))
        return found

    async def _after(self, answer: Any) -> Any:
        await self._meanwhile()
        return answer


class Overtaken(Late):
    """Reads of heads and memberships between which something else happens."""

    async def load(self, *args: Any) -> UserConversations:
        heads = (await self._inner.load(*args)).heads
        await self._meanwhile()
        return replace(await self._inner.load(*args), heads=heads)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    node = Node("n", Tables(), Partition(), InMemoryPubSub(), set())
    yield node
    await node.background.stop()


@pytest.fixture
async def created(node: Node) -> ConversationCreated:
    conversation = Conversation(id=C, kind="group", created_by=ANN, created_at=now())
    members = [Membership(conversation_id=C, user_id=user, joined_at=now()) for user in (ANN, BEN)]
    await node.ports.conversations.create(conversation, members)
    return ConversationCreated(conversation=conversation, members=(), by=ANN)


async def begin(node: Node, conversation_id: str, last_seq: int = 0) -> None:
    """Store one more conversation of ben's."""
    conversation = Conversation(
        id=conversation_id, kind="group", created_by=ANN, created_at=now(), last_seq=last_seq, rev=last_seq
    )
    await node.ports.conversations.create(conversation, [ben_in(conversation_id)])


def ben_in(conversation_id: str, joined_at: datetime | None = None, hidden_seq: int = 0) -> Membership:
    return Membership(
        conversation_id=conversation_id,
        user_id=BEN,
        joined_at=joined_at or now(),
        hidden_seq=hidden_seq,
    )


def ben_is_removed(node: Node, when: Callable[[], bool]) -> Callable[[], Awaitable[None]]:
    """Write once, at the chosen moment, while the database's answer is on its way."""
    done: list[bool] = []

    async def meanwhile() -> None:
        if when() and not done:
            done.append(await node.ports.membership_changes.remove(C, BEN))
            node.live.local_conversations.remove(C, BEN)

    return meanwhile


async def connect(node: Node) -> None:
    received: list[Any] = []
    node.connect("n.1", BEN, "/chat", received.append)
    await eventually(lambda: CONNECTED in received)


async def is_out(node: Node) -> None:
    (session,) = node.delivery.sessions.of_user(BEN)
    assert node.membership_cache.role(C, BEN) is None
    assert not node.delivery.session_rooms.is_in(session, rooms.conversation(C))
    assert node.delivery.streams.ids() == []


async def test_a_member_removed_while_connecting_is_out(node: Node, created: ConversationCreated) -> None:
    is_expected = lambda: C in node.membership_cache.conversations_of(BEN)  # noqa: E731
    loader = node.live.connection_manager._user_loader
    late: Any = Late(loader._reads, ben_is_removed(node, is_expected))
    loader._reads = late

    await connect(node)

    await is_out(node)


@pytest.mark.parametrize("is_removed_before", [True, False], ids=["removed before", "removed after"])
async def test_a_member_who_returns_while_other_parts_are_read_is_in(
    node: Node, created: ConversationCreated, monkeypatch: pytest.MonkeyPatch, is_removed_before: bool
) -> None:
    monkeypatch.setattr(user_loader, "PART", 1)
    await begin(node, D)
    loader, received = node.live.connection_manager._user_loader, list[Any]()
    removal = ben_is_removed(node, lambda: True)
    returned = ben_in(C, joined_at=now() + timedelta(seconds=1), hidden_seq=7)

    is_read = asyncio.Event()

    class Parted(Late):
        async def load(self, *args: Any) -> UserConversations:
            if args[-1].includes(C):
                if is_removed_before:
                    await removal()
                found = await self._inner.load(*args)
                is_read.set()
            else:
                await is_read.wait()
                await removal()
                await node.ports.membership_changes.add([returned])
                await node.live.admissions.admit(BEN, C, created)
                found = await self._inner.load(*args)
            return found  # type: ignore[no-any-return]

    parted: Any = Parted(loader._reads, AsyncMock())
    loader._reads = parted
    node.connect("n.1", BEN, "/chat", received.append)
    await eventually(lambda: CONNECTED in received)

    assert node.live.admissions.is_admitted(C, BEN)
    assert node.membership_cache.hidden(C, BEN) == returned.hidden_seq
    assert not node.membership_cache.has_rejoined(returned)


async def test_a_socket_learns_of_a_conversation_that_another_has_joined_before_the_event(
    node: Node, created: ConversationCreated
) -> None:
    await node.ports.membership_changes.remove(C, BEN)
    await connect(node)
    received = list[Any]()
    node.connect("n.2", BEN, "/chat", received.append)
    await eventually(lambda: len(node.delivery.sessions.live_of(BEN)) == 2)
    await node.ports.membership_changes.add([ben_in(C)])
    first = node.delivery.sessions.get("n.1")
    assert first is not None

    await node.live.connection_manager.join(first, C)
    await node.live.admissions.admit(BEN, C, created)

    assert [payload for payload in received if payload[0] == "conversationCreated"]


async def test_a_member_removed_while_joining_is_out(node: Node, created: ConversationCreated) -> None:
    await node.ports.membership_changes.remove(C, BEN)
    await connect(node)
    await node.ports.membership_changes.add([ben_in(C)])
    late: Any = Late(node.live.admissions._memberships, ben_is_removed(node, lambda: True))
    node.live.admissions._memberships = late

    await node.live.admissions.admit(BEN, C, created)

    await is_out(node)


async def test_a_member_removed_while_a_connect_fails_leaves_no_stream(
    node: Node, created: ConversationCreated, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begin(node, D, last_seq=1)
    is_expected = lambda: C in node.membership_cache.conversations_of(BEN)  # noqa: E731
    loader, received = node.live.connection_manager._user_loader, list[Any]()
    overtaken: Any = Overtaken(loader._reads, ben_is_removed(node, is_expected))
    loader._reads = overtaken

    async def away(_above: Any) -> Any:
        raise Unavailable("MongoDB is away")

    monkeypatch.setattr(MemoryHistory, "deleted", lambda _self, above: away(above))
    node.connect("n.1", BEN, "/chat", received.append)
    await eventually(lambda: REFUSED in received)

    assert node.delivery.streams.ids() == []


async def test_a_member_removed_at_the_end_of_a_connect_leaves_no_stream(
    node: Node, created: ConversationCreated, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begin(node, D)
    put = node.membership_cache.put

    def put_late(membership: Membership) -> None:
        put(membership)
        if membership.conversation_id == D:
            node.live.local_conversations.remove(C, BEN)

    monkeypatch.setattr(node.membership_cache, "put", put_late)
    await connect(node)

    assert node.delivery.streams.ids() == [D]


@pytest.mark.parametrize("removed", [True, False])
async def test_presence_of_a_removed_user_is_not_followed_when_the_leave_event_precedes_the_join_event(
    removed: bool, node: Node, created: ConversationCreated
) -> None:
    await connect(node)
    tracker = node.live.presence_tracker
    await tracker.removed(C, ANN)
    assert tracker.knows(C, ANN)
    if removed:
        await node.ports.membership_changes.remove(C, ANN)
        await tracker.removed(C, ANN)

    await tracker.added(MembersAdded(conversation_id=C, people=(Person(id=ANN),), by=BEN, at=now()))

    assert tracker.knows(C, ANN) is not removed
