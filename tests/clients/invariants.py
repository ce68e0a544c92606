"""Invariants of a conversation at rest: stored messages, deliveries, unread counts."""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import aiohttp

from clients.chat import DEADLINE, ChatUsers, eventually, token
from clients.recording_clients import RecordingClient
from parley.shared.mongo import Database

Document = dict[str, Any]
REST_AT_ONCE = 10


async def assert_consistent(
    database: Database,
    users: ChatUsers,
    conversation_id: str,
    *,
    senders: Iterable[RecordingClient],
    listeners: Iterable[RecordingClient],
    deadline: float = DEADLINE,
) -> list[Document]:
    """Check that accepted messages are stored, were received, and are counted; return the messages."""
    accepted = contents_by_sender(senders, conversation_id)
    messages = await assert_stored(database, conversation_id, accepted, deadline)
    await assert_received(listeners, conversation_id, messages, deadline)
    await assert_unread_counts(database, users, conversation_id)
    # A doubled message may be stored after the others.
    assert await how_many(database, conversation_id) == len(messages)
    return messages


async def how_many(database: Database, *conversation_ids: str) -> int:
    """Count the stored messages of these conversations."""
    return await database.messages.count_documents({"conversationId": {"$in": list(conversation_ids)}})


async def stored_messages(database: Database, conversation_id: str) -> list[Document]:
    """Return the conversation's messages by their numbers."""
    found = database.messages.find({"conversationId": conversation_id}).sort("seq", 1)
    messages: list[Document] = await found.to_list(None)
    return messages


def contents_by_sender(senders: Iterable[RecordingClient], conversation_id: str) -> dict[str, list[str]]:
    """Return the contents of each user's accepted messages, in order."""
    accepted: defaultdict[str, list[str]] = defaultdict(list)
    for client in senders:
        accepted[client.user_id] += client.sent[conversation_id]
    return {user_id: contents for user_id, contents in accepted.items() if contents}


async def assert_stored(
    database: Database,
    conversation_id: str,
    accepted: Mapping[str, Sequence[str]],
    deadline: float = DEADLINE,
) -> list[Document]:
    """Check that accepted messages are stored once, by numbers without holes, in their senders' order."""
    count = sum(map(len, accepted.values()))

    async def all_there() -> bool:
        await asyncio.sleep(0.05)
        return await how_many(database, conversation_id) >= count

    await eventually(all_there, deadline)
    messages = await stored_messages(database, conversation_id)
    assert_numbered(messages)
    stored = by_sender(messages)
    assert stored == accepted, difference(stored, accepted)
    return messages


def by_sender(messages: Iterable[Document]) -> dict[str, list[str]]:
    """Return the contents of each user's messages, in the messages' order."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for message in messages:
        found[message["senderId"]].append(message["content"])
    return dict(found)


def assert_numbered(messages: Sequence[Document]) -> None:
    """Check that numbers and revisions are 1, 2, 3, …, and that all ids differ."""
    right = list(range(1, len(messages) + 1))
    assert [m["seq"] for m in messages] == right, "the numbers have holes, or doubles"
    assert [m["rev"] for m in messages] == right, "the revisions have holes, or doubles"
    assert len({m["_id"] for m in messages}) == len(messages)


async def assert_received(
    listeners: Iterable[RecordingClient],
    conversation_id: str,
    messages: Sequence[Document],
    deadline: float = DEADLINE,
) -> None:
    """Check that every listener received every message once, in the order of the numbers."""
    numbers = {message["_id"]: message["seq"] for message in messages}
    for listener in listeners:
        received = listener.received[conversation_id]
        # The assertion below explains more than a timeout does.
        with contextlib.suppress(AssertionError):
            await eventually(partial(_has_count, received, len(messages)), deadline)
        assert [numbers.get(id) for id in received] == list(numbers.values()), received_difference(
            listener, received, numbers
        )


def _has_count(received: Sequence[str], count: int) -> bool:
    return len(received) >= count


async def assert_unread_counts(
    database: Database,
    users: ChatUsers,
    conversation_id: str,
    deadline: float = DEADLINE,
) -> None:
    """Check that every member's unread count, stored and by REST, becomes equal to its recount."""
    assert await miscounts(database, users, conversation_id, deadline) == {}, "kept, recounted, told by REST"


async def miscounts(
    database: Database,
    users: ChatUsers,
    conversation_id: str,
    deadline: float = DEADLINE,
) -> dict[str, tuple[int, int, int]]:
    """Return the members whose unread count stays wrong: as stored, as recounted, by REST."""
    stored, right = {}, {}

    async def exact() -> bool:
        nonlocal stored, right
        await asyncio.sleep(0.05)
        stored, right = (
            await _stored_unread(database, conversation_id),
            await recount(database, conversation_id),
        )
        return all(stored[user] == right[user] for user in right)

    with contextlib.suppress(AssertionError):
        await eventually(exact, deadline)
    by_rest = await _unread_by_rest(users, conversation_id, list(right))
    counts = {user: (stored[user], right[user], by_rest[user]) for user in right}
    return {user: count for user, count in counts.items() if len(set(count)) > 1}


async def recount(database: Database, conversation_id: str) -> dict[str, int]:
    """Return for each member how many messages of other users above the read mark are there to read."""
    of = {"conversationId": conversation_id}
    there = {**of, "deletedAt": {"$exists": False}}
    fields = {"seq": 1, "senderId": 1}
    senders = [(m["seq"], m["senderId"]) async for m in database.messages.find(there, fields)]
    return {
        m["userId"]: sum(s > max(m["readSeq"], m["joinSeq"]) and by != m["userId"] for s, by in senders)
        async for m in database.memberships.find(of)
        if "leftAt" not in m
    }


async def _stored_unread(database: Database, conversation_id: str) -> dict[str, int]:
    conversation = await database.conversations.find_one({"_id": conversation_id})
    assert conversation is not None
    gone = {"conversationId": conversation_id, "deletedAt": {"$exists": True}}
    deleted = [(m["seq"], m["senderId"]) async for m in database.messages.find(gone)]
    counts = {}
    async for m in database.memberships.find({"conversationId": conversation_id}):
        base = max(m["readSeq"], m["joinSeq"])
        of_others = sum(seq > base and by != m["userId"] for seq, by in deleted)
        counts[m["userId"]] = conversation["lastSeq"] - base - m["ownSinceRead"] - of_others
    return counts


async def _unread_by_rest(users: ChatUsers, conversation_id: str, user_ids: Sequence[str]) -> dict[str, int]:
    url = f"{users.url}/chats/conversations/{conversation_id}"
    places = asyncio.Semaphore(REST_AT_ONCE)
    async with aiohttp.ClientSession() as http:

        async def one(user_id: str) -> int:
            bearer = {"Authorization": f"Bearer {token(users.secret, user_id)}"}
            async with places, http.get(url, headers=bearer) as answer:
                assert answer.status == 200, await answer.text()
                count: int = (await answer.json())["unreadCount"]
                return count

        return dict(zip(user_ids, await asyncio.gather(*map(one, user_ids)), strict=True))


def difference(stored: Mapping[str, Sequence[str]], accepted: Mapping[str, Sequence[str]]) -> str:
    """Describe where stored messages differ from accepted ones."""
    parts = []
    for user_id in stored.keys() | accepted.keys():
        ours, theirs = Counter(accepted.get(user_id, ())), Counter(stored.get(user_id, ()))
        lost, extra = list((ours - theirs).elements()), list((theirs - ours).elements())
        if lost or extra:
            parts.append(f"{user_id}: lost {lost[:5]} ({len(lost)}), not accepted {extra[:5]} ({len(extra)})")
        elif list(stored[user_id]) != list(accepted[user_id]):
            parts.append(f"{user_id}: in another order: {swapped(accepted[user_id], stored[user_id])}")
    return "; ".join(parts)


def swapped(right: Sequence[str], wrong: Sequence[str]) -> str:
    """Describe where one order first differs from another."""
    at = next(n for n, (one, other) in enumerate(zip(right, wrong, strict=True)) if one != other)
    return f"at {at} said {list(right[at : at + 4])}, stored {list(wrong[at : at + 4])}"


def received_difference(
    listener: RecordingClient, received: Sequence[str], numbers: Mapping[str, int]
) -> str:
    """Describe how received messages differ from stored ones."""
    missed = sorted(number for id, number in numbers.items() if id not in set(received))
    twice = sorted(numbers.get(id, 0) for id, times in Counter(received).items() if times > 1)
    if not missed and not twice:
        return f"{listener.user_id} heard everything, in another order"
    state = "closed" if listener.socket.closed.is_set() else "open"
    return (
        f"{listener.user_id} on {listener.node} by {listener.transport}, {state}, of {len(numbers)} "
        f"missed {missed[:10]} ({len(missed)}), heard twice {twice[:10]} ({len(twice)})"
    )
