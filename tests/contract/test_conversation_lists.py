"""Pages of a list of conversations: MongoDB and the fake in memory select the same."""

import uuid
from datetime import datetime, timedelta

import pytest

from fakes.memory_archive import MemoryConversations
from fakes.memory_store import Tables
from parley.gateway.adapters.mongo import conversations as stored_conversations
from parley.gateway.adapters.mongo.conversations import MongoConversations
from parley.gateway.adapters.mongo.shared_reads import SharedReads
from parley.gateway.core.errors import Invalid
from parley.gateway.core.pagination import PageRequest
from parley.gateway.core.ports import Conversations
from parley.shared.migrations import migrate
from parley.shared.model import Conversation, Digest, Membership, now
from parley.shared.mongo import Database

AT = now().replace(microsecond=0)


@pytest.fixture(params=["memory", "mongodb", "mongodb in parts"])
async def conversations(
    request: pytest.FixtureRequest, database: Database, reads: SharedReads, monkeypatch: pytest.MonkeyPatch
) -> Conversations:
    if request.param == "memory":
        return MemoryConversations(Tables())
    await migrate(database)
    if request.param == "mongodb in parts":
        monkeypatch.setattr(stored_conversations, "SHARED_CONVERSATIONS", 1)
    return MongoConversations(database, reads)


def conversation(created: int, active: int | None = None, contract_id: str | None = None) -> Conversation:
    """Return a conversation; the numbers are seconds, those of its last message if it has one."""
    last_message = None if active is None else digest(AT + timedelta(seconds=active))
    return Conversation(
        id=str(uuid.uuid4()),
        kind="group",
        created_by="ann",
        created_at=AT + timedelta(seconds=created),
        contract_id=contract_id,
        last_message=last_message,
    )


def digest(at: datetime) -> Digest:
    return Digest(id=str(uuid.uuid4()), seq=1, sender_id="ann", content="hi", type="text", created_at=at)


async def store(conversations: Conversations, *added: Conversation) -> list[str]:
    """Store conversations; return their ids, most recently active first."""
    for each in added:
        owner = Membership(conversation_id=each.id, user_id="ann", joined_at=each.created_at, role="owner")
        await conversations.create(each, [owner])
    return [c.id for c in sorted(added, key=lambda c: (c.last_activity_at, c.id), reverse=True)]


async def listed(conversations: Conversations, ids: list[str], request: PageRequest) -> list[str]:
    page = await conversations.most_recent(ids, request, None)
    assert page.total == len(ids)
    return [c.id for c in page.items]


async def store_several(conversations: Conversations) -> list[str]:
    """Store seven conversations, of which some were active at the same time; return their ids in order."""
    return await store(
        conversations,
        *(
            conversation(created, active)
            for created, active in [(0, 5), (1, None), (2, 2), (3, 9), (5, None)]
        ),
        *(conversation(5), conversation(0, 2)),
    )


async def test_a_conversation_is_as_recent_as_its_last_message_else_as_its_creation(
    conversations: Conversations,
) -> None:
    old, new, active = conversation(0), conversation(2), conversation(1, 3)
    ids = await store(conversations, old, new, active)
    assert ids == [active.id, new.id, old.id]
    assert await listed(conversations, ids, PageRequest(10)) == ids


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_cursors_lead_through_all_conversations_and_back(
    conversations: Conversations, limit: int
) -> None:
    ids = await store_several(conversations)
    down: list[str] = []
    cursor = None
    while len(down) < len(ids):
        page = await conversations.most_recent(ids, PageRequest(limit, before=cursor), None)
        down += [c.id for c in page.items]
        assert (page.next_cursor is None) == (len(down) == len(ids))
        cursor = page.next_cursor
    assert down == ids

    up: list[str] = []
    cursor = f"{(AT - timedelta(days=1)).isoformat()}_"
    while cursor is not None:
        page = await conversations.most_recent(ids, PageRequest(limit, after=cursor), None)
        up = [c.id for c in page.items] + up
        cursor = page.next_cursor
    assert up == ids


async def test_pages_are_numbered_from_one_and_from_a_cursor(conversations: Conversations) -> None:
    ids = await store_several(conversations)
    assert [await listed(conversations, ids, PageRequest(3, number)) for number in (1, 2, 3, 4)] == [
        *(ids[:3], ids[3:6], ids[6:], [])
    ]
    first = (await conversations.most_recent(ids, PageRequest(2), None)).next_cursor
    assert await listed(conversations, ids, PageRequest(2, 2, before=first)) == ids[4:6]
    upwards = f"{(AT - timedelta(days=1)).isoformat()}_"
    assert await listed(conversations, ids, PageRequest(3, 2, after=upwards)) == ids[1:4]


async def test_a_list_of_a_contract_counts_only_its_conversations(conversations: Conversations) -> None:
    contract_id = str(uuid.uuid4())
    (inside,) = await store(conversations, conversation(0, contract_id=contract_id))
    (outside,) = await store(conversations, conversation(1))
    page = await conversations.most_recent([inside, outside, "unknown"], PageRequest(10), contract_id)
    assert ([c.id for c in page.items], page.total, page.next_cursor) == ([inside], 1, None)


async def test_a_list_without_conversations_is_an_empty_page(conversations: Conversations) -> None:
    page = await conversations.most_recent([], PageRequest(10), None)
    assert (page.items, page.total, page.next_cursor) == ((), 0, None)


@pytest.mark.parametrize("bad", ["", "x", "2026-01-01T00:00:00_id", "0001-01-01T00:00:00+23:59_id"])
@pytest.mark.parametrize("direction", ["before", "after"])
async def test_a_malformed_cursor_is_invalid(conversations: Conversations, direction: str, bad: str) -> None:
    with pytest.raises(Invalid):
        await conversations.most_recent(["any"], PageRequest(10, **{direction: bad}), None)


async def test_a_cursor_with_half_a_surrogate_pair_is_invalid(conversations: Conversations) -> None:
    with pytest.raises(Invalid):
        await conversations.most_recent(["any"], PageRequest(10, before=f"{AT.isoformat()}_\ud800"), None)
