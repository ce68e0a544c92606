"""Lingering users: a user who connects again soon is not read again; nothing is kept for long."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from clients.chat import eventually
from fakes.memory_bus import InMemoryPubSub
from fakes.memory_queue import Partition
from fakes.memory_store import Tables
from model.node import CONNECTED, Node
from parley.gateway.live import lingering_users
from parley.gateway.live.sessions import Session
from parley.shared import rooms
from parley.shared.events import ConversationRead, MessageStored, pack
from parley.shared.model import Conversation, Membership, Message, Person, now

ANN, BEN, C = "ann", "ben", "conversation"


class Counted:
    """Connect reads that are counted."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.reads = 0

    async def begin(self, user_id: str) -> Any:
        self.reads += 1
        return await self._inner.begin(user_id)

    async def load(self, *args: Any) -> Any:
        self.reads += 1
        return await self._inner.load(*args)


class Chat:
    """A node, and a user in one conversation of it."""

    def __init__(self) -> None:
        self.node = Node("n", Tables(), Partition(), InMemoryPubSub(), set())
        loader = self.node.live.connection_manager._user_loader
        self.reads = Counted(loader._reads)
        reads: Any = self.reads
        loader._reads = reads
        self._sockets = 0

    async def group(self, name: str, *members: str) -> None:
        conversation = Conversation(id=name, kind="group", created_by=members[0], created_at=now())
        joined = [Membership(conversation_id=name, user_id=user, joined_at=now()) for user in members]
        await self.node.ports.conversations.create(conversation, joined)

    async def connect(self, user_id: str = BEN) -> int:
        """Connect a user; return how often the archive was read for it."""
        before, received = self.reads.reads, []  # type: ignore[var-annotated]
        self._sockets += 1
        self.node.connect(f"n.{self._sockets}", user_id, "/chat", received.append)
        await eventually(lambda: CONNECTED in received)
        await eventually(lambda: self.node.delivery.sessions.live_of(user_id))
        return self.reads.reads - before

    async def disconnect(self) -> None:
        """Disconnect the socket that has connected last."""
        sid = f"n.{self._sockets}"
        self.node.disconnect(sid, "/chat")
        await eventually(lambda: self.node.delivery.sessions.get(sid) is None)

    def publish(self, *events: Any) -> None:
        self.node.deliver_from_bus(rooms.channel(rooms.conversation(C)), pack(list(events)))

    def send(self, seq: int, sender: str) -> None:
        message = Message(
            id=f"{seq}",
            conversation_id=C,
            sender_id=sender,
            content="hello",
            created_at=now() + timedelta(seconds=seq),
            seq=seq,
            rev=seq,
        )
        self.publish(MessageStored(record_id=f"{seq}", message=message, sender=Person(id=sender)))

    @property
    def unread(self) -> int | None:
        return self.node.membership_cache.unread(C, BEN)


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    """A conversation of two, of whom one has connected and gone."""
    chat = Chat()
    await chat.group(C, ANN, BEN)
    assert await chat.connect() == 2
    await chat.disconnect()
    yield chat
    await chat.node.background.stop()


async def test_a_user_who_connects_again_is_not_read_again(chat: Chat) -> None:
    assert await chat.connect() == 0
    (session,) = chat.node.delivery.sessions.of_user(BEN)
    assert chat.node.delivery.session_rooms.is_in(session, rooms.conversation(C))
    assert chat.node.membership_cache.role(C, BEN) == "member"


async def test_events_count_while_a_user_is_gone(chat: Chat) -> None:
    chat.send(1, ANN)
    chat.send(2, BEN)
    chat.send(3, ANN)
    mark = {"seq": 1, "message_id": None, "own_since_read": 1, "own_seq": 2}
    chat.publish(ConversationRead(record_id="r", conversation_id=C, user_id=BEN, at=now(), **mark))
    assert await chat.connect() == 0
    assert chat.unread == 1


async def test_a_user_who_was_added_to_a_conversation_meanwhile_is_read_again(chat: Chat) -> None:
    await chat.group("another", ANN, BEN)
    await chat.node.live.admissions.admit(BEN, "another")
    assert await chat.connect() == 2
    assert chat.node.membership_cache.role("another", BEN) == "member"


async def test_a_user_who_was_removed_meanwhile_stays_out(chat: Chat) -> None:
    await chat.node.ports.membership_changes.remove(C, BEN)
    chat.node.live.local_conversations.remove(C, BEN)
    assert await chat.connect() == 2
    assert chat.node.membership_cache.role(C, BEN) is None


async def test_a_user_is_read_again_after_events_were_lost(chat: Chat) -> None:
    await chat.node.live.reconciler.resynchronize()
    assert not chat.node.membership_cache.users
    assert await chat.connect() == 2


async def test_a_user_is_read_again_after_a_membership_whose_event_was_lost_is_found(chat: Chat) -> None:
    await chat.group("another", ANN, BEN)
    members = chat.node.ports.memberships
    joined = await members.of_users([BEN])
    members.joined = lambda *_args: asyncio.sleep(0, joined)  # type: ignore[assignment, method-assign]
    chat.node.live.reconciler._memberships = members
    await chat.node.live.reconciler.check_joins(1.0)
    assert await chat.connect() == 2
    assert chat.node.membership_cache.role("another", BEN) == "member"


async def test_a_user_is_read_again_whose_conversation_s_history_was_replaced(chat: Chat) -> None:
    chat.node.membership_cache.forget_counts(C)
    assert await chat.connect() == 2


async def test_a_user_is_read_again_if_events_are_lost_during_the_connect(chat: Chat) -> None:
    subscribe = chat.node.bus.subscribe

    async def lose(channels: Any) -> None:
        await subscribe(channels)
        chat.node.live.lingering_users.forget_all()

    chat.node.bus.subscribe = lose  # type: ignore[method-assign]
    assert await chat.connect() == 2


async def test_nothing_is_kept_for_long(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    await chat.connect()
    monkeypatch.setattr(lingering_users, "LINGER_SECONDS", 0.0)
    await chat.disconnect()
    await eventually(lambda: not chat.node.membership_cache.users)
    assert not chat.node.membership_cache.conversations
    assert not chat.node.delivery.streams.ids()
    assert await chat.connect() == 2


async def test_a_user_whose_next_socket_fails_to_connect_is_forgotten_at_once(chat: Chat) -> None:
    async def fail(*_args: Any, **_more: Any) -> None:
        raise RuntimeError

    chat.node.live.presence_tracker.introduce = fail  # type: ignore[method-assign]
    session = Session("n.9", "/chat", BEN)
    with pytest.raises(RuntimeError):
        await chat.node.live.connection_manager.connect(session, Person(id=BEN), ())
    assert not chat.node.membership_cache.users
