"""The queries of a page of conversations, over a real database."""

import uuid
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import pytest

from fakes.memory_barrier import NothingAccepted
from parley.gateway.adapters.mongo.contracts import MongoContracts
from parley.gateway.adapters.mongo.conversations import MongoConversations
from parley.gateway.adapters.mongo.memberships import MongoMemberships
from parley.gateway.adapters.mongo.messages import MongoMessages
from parley.gateway.adapters.mongo.people import MongoPeople
from parley.gateway.adapters.mongo.shared_reads import SharedReads
from parley.gateway.background import Background
from parley.gateway.core.commands import CountUnread, CreateConversation, ListConversations
from parley.gateway.services.access import Access
from parley.gateway.services.conversations import ConversationService
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared.documents import CONVERSATIONS, MEMBERSHIPS
from parley.shared.migrations import migrate
from parley.shared.model import Membership, Person

ROWS = 11


class Silence:
    """An announcer that discards its events."""

    async def publish_events(self, _events: Any) -> None: ...

    def publish_best_effort(self, _room: str, _event: Any) -> None: ...


class CountedPeople(MongoPeople):
    """Counts the queries."""

    def __init__(self, database: Any, reads: SharedReads) -> None:
        super().__init__(database, reads, Background().spawn)
        self.asked = 0

    async def get(self, user_ids: Collection[str]) -> dict[str, Person]:
        self.asked += 1
        return await super().get(user_ids)


class HeldMemberships(MongoMemberships):
    """Counts the queries for members; commits before a user's are read."""

    def __init__(self, database: Any, reads: SharedReads) -> None:
        super().__init__(database, reads)
        self.asked = 0
        self.batches: list[tuple[str, Callable[[], Awaitable[None]]]] = []

    async def _commit(self, read: str) -> None:
        while self.batches and self.batches[-1][0] == read:
            await self.batches.pop()[1]()

    async def conversations_of(self, user_id: str, *, archived: bool = True) -> set[str]:
        found = await super().conversations_of(user_id, archived=archived)
        await self._commit("heads")
        return found

    async def of_user(self, user_id: str, conversation_ids: Collection[str]) -> dict[str, Membership]:
        await self._commit("counters")
        return await super().of_user(user_id, conversation_ids)

    async def first_of(self, conversation_ids: Collection[str], limit: int) -> dict[str, list[Membership]]:
        self.asked += 1
        return await super().first_of(conversation_ids, limit)


class Desk:
    """One user's direct conversations, each with another user, and the service that lists them."""

    def __init__(self, database: Any, reads: SharedReads) -> None:
        self.database = database
        self.ann = Person(id=str(uuid.uuid4()))
        self.people, self.memberships = CountedPeople(database, reads), HeldMemberships(database, reads)
        self.service = ConversationService(
            Access(MembershipCache(), self.memberships, MongoMessages(database, reads)),
            MongoConversations(database, reads),
            self.memberships,
            self.memberships,
            MongoContracts(database),
            MongoMessages(database, reads),
            self.people,
            Silence(),
            NothingAccepted(),
        )

    async def start(self, other: Person) -> None:
        await self.people.save(other)
        await self.service.create(self.ann, CreateConversation(kind="direct", participants=(other.id,)))

    async def store_message(self) -> None:
        """Write the head of a message of the other user."""
        await self._move_head(1)

    async def store_own_message(self) -> None:
        """Write what a batch with a message of the user writes behind it: the counters, then the head."""
        counted = {"$set": {"ownSeq": 2, "ownSinceRead": 1}}
        await self.database[MEMBERSHIPS].update_one({"userId": self.ann.id}, counted)
        await self._move_head(2)

    async def _move_head(self, seq: int) -> None:
        moved = {"$set": {"lastSeq": seq, "rev": seq}}
        await self.database[CONVERSATIONS].update_one({"createdBy": self.ann.id}, moved)


@pytest.fixture
async def desk(database: Any, reads: SharedReads) -> Desk:
    await migrate(database)
    return Desk(database, reads)


async def test_a_page_queries_people_and_members_once(desk: Desk) -> None:
    others = [Person(id=str(uuid.uuid4()), name=f"Other {n}") for n in range(ROWS)]
    for other in others:
        await desk.start(other)
    desk.people.asked = desk.memberships.asked = 0

    page = await desk.service.page(desk.ann, ListConversations(limit=100))

    assert (desk.people.asked, desk.memberships.asked) == (1, 1)
    assert len(page.items) == ROWS
    shown = [{m.person.name for m in view.members if m.person.id != desk.ann.id} for view in page.items]
    assert sorted(map(str, shown)) == sorted(str({other.name}) for other in others)


async def test_a_page_without_conversations_is_empty(desk: Desk) -> None:
    page = await desk.service.page(desk.ann, ListConversations(limit=100))
    assert page.items == ()


@pytest.mark.parametrize("read", ["heads", "counters"])
async def test_a_page_counts_no_own_message_that_is_stored_meanwhile(desk: Desk, read: str) -> None:
    await desk.start(Person(id=str(uuid.uuid4())))
    await desk.store_message()
    desk.memberships.batches.append((read, desk.store_own_message))
    page = await desk.service.page(desk.ann, ListConversations(limit=100))
    assert [view.unread for view in page.items] == [1]
    assert not desk.memberships.batches


@pytest.mark.parametrize("read", ["heads", "counters"])
async def test_a_total_counts_no_own_message_that_is_stored_meanwhile(desk: Desk, read: str) -> None:
    await desk.start(Person(id=str(uuid.uuid4())))
    await desk.store_message()
    desk.memberships.batches.append((read, desk.store_own_message))
    assert (await desk.service.unread(desk.ann, CountUnread())).count == 1
    assert not desk.memberships.batches
