"""Presence reaches the users who share a conversation of a bounded size, each change once."""

from collections.abc import AsyncIterator, Collection
from typing import Any

import pytest

from clients.chat import eventually
from fakes.memory_archive import MemoryMembers
from fakes.memory_bus import InMemoryPubSub
from fakes.memory_queue import Partition
from fakes.memory_store import Tables
from model.node import CONNECTED, Node
from parley.gateway.live import lingering_users
from parley.gateway.live.removal_watch import RemovalWatch
from parley.shared import rooms
from parley.shared.events import MemberRemoved, MembersAdded, PresenceChanged, pack
from parley.shared.model import Conversation, Membership, Person, now

ANN, BEN, CEM = "ann", "ben", "cem"


class Presences:
    """`Presence` of the users that a test has come online."""

    def __init__(self) -> None:
        self.users: set[str] = set()

    async def add_socket(self, user_id: str, socket_id: str, contacts: Collection[str]) -> list[str]:
        self.users.add(user_id)
        return [each for each in contacts if each in self.users]

    async def online(self, user_ids: Collection[str]) -> list[str]:
        return [each for each in user_ids if each in self.users]


class Chat:
    """A node, its users' sockets, and what each of them has received."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.node = Node("n", self.tables, Partition(), InMemoryPubSub(), set())
        self.presences = Presences()
        presence: Any = self.presences
        self.node.live.presence_tracker._presence = presence
        self.received: dict[str, list[Any]] = {}

    async def group(self, name: str, *members: str) -> None:
        conversation = Conversation(id=name, kind="group", created_by=members[0], created_at=now())
        joined = [Membership(conversation_id=name, user_id=user, joined_at=now()) for user in members]
        await self.node.ports.conversations.create(conversation, joined)

    async def connect(self, *user_ids: str) -> None:
        for user_id in user_ids:
            received = self.received.setdefault(user_id, [])
            before = received.count(CONNECTED)
            self.node.connect(f"n.{user_id}{before}", user_id, "/chat", received.append)
            await eventually(lambda: received.count(CONNECTED) > before)  # noqa: B023 - called at once
            await eventually(lambda: self.node.delivery.sessions.live_of(user_id))  # noqa: B023

    def publish(self, user_id: str, online: bool) -> None:
        event = PresenceChanged(user_id=user_id, online=online, at=now())
        self.node.deliver_from_bus(rooms.channel(rooms.everyone()), pack([event]))

    def statuses(self, follower: str, user_id: str) -> list[str]:
        events = [e for e in self.received[follower] if isinstance(e, list) and e[0] == "userStatusChanged"]
        return [data["status"] for _, data in events if data["userId"] == user_id]

    def online(self, user_id: str) -> set[str]:
        (session,) = self.node.delivery.sessions.of_user(user_id)
        return set(self.node.live.presence_tracker.online(session))


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    chat = Chat()
    yield chat
    await chat.node.background.stop()


async def test_a_change_reaches_each_contact_once(chat: Chat) -> None:
    await chat.group("c", ANN, BEN, CEM)
    await chat.group("d", ANN, BEN)
    await chat.connect(ANN, BEN)
    chat.publish(BEN, True)
    chat.publish(BEN, False)
    chat.publish(CEM, True)
    assert chat.statuses(ANN, BEN) == ["online", "offline"]
    assert chat.statuses(ANN, CEM) == ["online"]
    assert chat.statuses(BEN, BEN) == []


async def test_a_state_that_is_known_is_not_written_again(chat: Chat) -> None:
    await chat.group("c", ANN, BEN)
    await chat.connect(BEN, ANN)
    chat.publish(BEN, True)
    assert chat.statuses(ANN, BEN) == []
    for online in (False, False, True, True):
        chat.publish(BEN, online)
    assert chat.statuses(ANN, BEN) == ["offline", "online"]


async def test_a_lost_change_is_found_when_somebody_reads_the_state(chat: Chat) -> None:
    await chat.group("c", ANN, BEN, CEM)
    await chat.connect(BEN, ANN)
    chat.presences.users.discard(BEN)
    await chat.connect(CEM)
    await chat.node.live.presence_tracker.check_doubted()
    assert chat.statuses(ANN, BEN) == ["offline"]
    chat.publish(BEN, True)
    assert chat.statuses(CEM, BEN)[-1] == "online"


async def test_a_state_that_was_read_before_its_event_is_not_corrected(chat: Chat) -> None:
    await chat.group("c", ANN, BEN, CEM)
    await chat.connect(ANN)
    chat.publish(BEN, True)
    await chat.connect(CEM)
    chat.presences.users.add(BEN)
    await chat.node.live.presence_tracker.check_doubted()
    assert chat.statuses(ANN, BEN) == ["online"]


async def test_a_connecting_user_learns_who_is_online(chat: Chat) -> None:
    await chat.group("c", ANN, BEN)
    await chat.group("d", BEN, CEM)
    await chat.connect(CEM, BEN)
    assert chat.online(BEN) == {BEN, CEM}
    await chat.connect(ANN)
    assert chat.online(ANN) == {ANN, BEN}


async def test_a_change_before_a_socket_goes_live_is_in_its_first_list(chat: Chat) -> None:
    await chat.group("c", ANN, BEN, CEM)
    await chat.connect(CEM, ANN)
    chat.publish(BEN, True)
    chat.publish(CEM, False)
    assert chat.online(ANN) == {ANN, BEN}
    chat.publish(BEN, False)
    assert chat.online(ANN) == {ANN}


async def test_strangers_and_the_members_of_large_groups_are_not_announced(chat: Chat) -> None:
    await chat.group("large", ANN, BEN, *(f"member-{n}" for n in range(200)))
    await chat.connect(ANN, CEM)
    chat.presences.users.add(BEN)
    await chat.connect(BEN)
    chat.publish(BEN, True)
    chat.publish(BEN, False)
    assert chat.statuses(ANN, BEN) == []
    assert chat.statuses(CEM, BEN) == []
    assert chat.online(BEN) == {BEN}


async def test_a_new_member_and_the_others_follow_each_other(chat: Chat) -> None:
    await chat.group("c", ANN)
    await chat.connect(ANN, BEN)
    await chat.node.ports.membership_changes.add(
        [Membership(conversation_id="c", user_id=BEN, joined_at=now())]
    )
    added = MembersAdded(conversation_id="c", people=(Person(id=BEN),), by=ANN, at=now())
    await chat.node.live.presence_tracker.added(added)
    await chat.node.live.admissions.admit(BEN, "c")
    assert chat.statuses(ANN, BEN) == ["online"]
    assert chat.statuses(BEN, ANN) == ["online"]
    chat.publish(BEN, False)
    assert chat.statuses(ANN, BEN) == ["online", "offline"]


async def test_a_user_who_is_known_already_is_not_written_again(chat: Chat) -> None:
    await chat.group("c", ANN, BEN)
    await chat.group("d", ANN)
    await chat.connect(ANN, BEN)
    await chat.node.ports.membership_changes.add(
        [Membership(conversation_id="d", user_id=BEN, joined_at=now())]
    )
    added = MembersAdded(conversation_id="d", people=(Person(id=BEN),), by=ANN, at=now())
    await chat.node.live.presence_tracker.added(added)
    assert chat.statuses(ANN, BEN) == []


async def test_a_removed_user_is_not_announced_any_more(chat: Chat) -> None:
    await chat.group("c", ANN, BEN)
    await chat.connect(ANN)
    await chat.node.ports.membership_changes.remove("c", BEN)
    removed = MemberRemoved(conversation_id="c", user_id=BEN, by=ANN, at=now())
    chat.node.deliver_from_bus(rooms.channel(rooms.conversation("c")), pack([removed]))
    await eventually(lambda: not chat.node.live.presence_tracker.knows("c", BEN))
    chat.publish(BEN, True)
    assert chat.statuses(ANN, BEN) == []


async def test_the_removal_watch_finds_removed_contacts(chat: Chat) -> None:
    await chat.group("c", ANN, BEN)
    await chat.connect(ANN)
    await chat.node.ports.membership_changes.remove("c", BEN)
    watch = RemovalWatch(
        memberships=MemoryMembers(chat.tables),
        membership_cache=chat.node.membership_cache,
        local_conversations=chat.node.live.local_conversations,
        presence_tracker=chat.node.live.presence_tracker,
    )
    await eventually(lambda: _is_unknown(chat, watch))


async def _is_unknown(chat: Chat, watch: RemovalWatch) -> bool:
    await watch.check()
    return not chat.node.live.presence_tracker.knows("c", BEN)


async def test_changes_of_an_outage_are_written_afterwards(chat: Chat) -> None:
    await chat.group("c", ANN, BEN, CEM)
    chat.presences.users = {BEN}
    await chat.connect(ANN)
    chat.presences.users = {ANN, CEM}
    await chat.node.live.presence_tracker.resynchronize()
    assert chat.statuses(ANN, BEN) == ["offline"]
    assert chat.statuses(ANN, CEM) == ["online"]


async def test_nothing_is_kept_of_users_who_have_gone(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering_users, "LINGER_SECONDS", 0.0)
    await chat.group("c", ANN, BEN)
    await chat.connect(ANN)
    chat.node.disconnect("n.ann0", "/chat")
    await eventually(lambda: not chat.node.membership_cache.users)
    tracker = chat.node.live.presence_tracker
    assert not tracker.knows("c", BEN)
    assert not tracker.is_followed(BEN)
    assert tracker._last_sent == {}
