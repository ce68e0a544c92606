"""What must hold of a conversation at rest: of its messages, of what was heard, of its counts."""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import aiohttp

from clients.chat import DEADLINE, ChatUsers, eventually, token
from clients.recording_clients import RecordingClient
from parley.shared.documents import exactly
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
    """What the voices said is stored, was heard by the listeners, and is counted; the messages."""
    said = contents_by_sender(senders, conversation_id)
    messages = await assert_stored(database, conversation_id, said, deadline)
    await assert_received(listeners, conversation_id, messages, deadline)
    await assert_unread_counts(database, users, conversation_id)
    # Whatever was written twice may have come late.
    assert await how_many(database, conversation_id) == len(messages)
    return messages


async def how_many(database: Database, *conversation_ids: str) -> int:
    """How many messages of these conversations are stored."""
    count = 0
    for conversation_id in conversation_ids:
        # The plain command, for count_documents is an aggregation, which some servers answer slowly.
        query = {"conversationId": exactly(conversation_id)}
        answer = await database.command({"count": "messages", "query": query})
        count += answer["n"]
    return count


async def stored_messages(database: Database, conversation_id: str) -> list[Document]:
    """The conversation's messages by their numbers."""
    found = database.messages.find({"conversationId": exactly(conversation_id)}).sort("seq", 1)
    messages: list[Document] = await found.to_list(None)
    return messages


def contents_by_sender(senders: Iterable[RecordingClient], conversation_id: str) -> dict[str, list[str]]:
    """What each user had accepted, in their order."""
    said: defaultdict[str, list[str]] = defaultdict(list)
    for client in senders:
        said[client.user_id] += client.sent[conversation_id]
    return {user_id: contents for user_id, contents in said.items() if contents}


async def assert_stored(
    database: Database,
    conversation_id: str,
    said: Mapping[str, Sequence[str]],
    deadline: float = DEADLINE,
) -> list[Document]:
    """Everything said is stored once, numbered without holes, each sender's in their order; the messages."""
    count = sum(map(len, said.values()))

    async def all_there() -> bool:
        await asyncio.sleep(0.05)
        return await how_many(database, conversation_id) >= count

    await eventually(all_there, deadline)
    messages = await stored_messages(database, conversation_id)
    assert_numbered(messages)
    stored = by_sender(messages)
    assert stored == said, difference(stored, said)
    return messages


def by_sender(messages: Iterable[Document]) -> dict[str, list[str]]:
    """What each user said, in the messages' order."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for message in messages:
        found[message["senderId"]].append(message["content"])
    return dict(found)


def assert_numbered(messages: Sequence[Document]) -> None:
    """1, 2, 3 and so on, of numbers and of revisions; no message twice."""
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
    """Every listener hears every message once, in the order of the numbers."""
    numbers = {message["_id"]: message["seq"] for message in messages}
    for listener in listeners:
        heard = listener.received[conversation_id]
        # What comes after says more about it when it is not all there in time.
        with contextlib.suppress(AssertionError):
            await eventually(lambda heard=heard: len(heard) >= len(messages), deadline)  # type: ignore[misc]
        assert [numbers.get(id) for id in heard] == list(numbers.values()), received_difference(
            listener, heard, numbers
        )


async def assert_unread_counts(
    database: Database,
    users: ChatUsers,
    conversation_id: str,
    deadline: float = DEADLINE,
) -> None:
    """Every member's unread count, as kept and as told by REST, comes to equal the recount."""
    assert await miscounts(database, users, conversation_id, deadline) == {}, "kept, recounted, told by REST"


async def miscounts(
    database: Database,
    users: ChatUsers,
    conversation_id: str,
    deadline: float = DEADLINE,
) -> dict[str, tuple[int, int, int]]:
    """The members whose unread count does not come to be right: as kept, as recounted, as told by REST."""
    kept, right = {}, {}

    async def exact() -> bool:
        nonlocal kept, right
        await asyncio.sleep(0.05)
        kept, right = (
            await _stored_unread(database, conversation_id),
            await recount(database, conversation_id),
        )
        return all(kept[user] == right[user] for user in right)

    with contextlib.suppress(AssertionError):
        await eventually(exact, deadline)
    told = await _unread_by_rest(users, conversation_id, list(right))
    counts = {user: (kept[user], right[user], told[user]) for user in right}
    return {user: count for user, count in counts.items() if len(set(count)) > 1}


async def recount(database: Database, conversation_id: str) -> dict[str, int]:
    """For each member how many messages of others are stored above their read mark."""
    of = {"conversationId": exactly(conversation_id)}
    senders = [(m["seq"], m["senderId"]) async for m in database.messages.find(of, {"seq": 1, "senderId": 1})]
    return {
        m["userId"]: sum(s > max(m["readSeq"], m["joinSeq"]) and by != m["userId"] for s, by in senders)
        async for m in database.memberships.find(of)
        if "leftAt" not in m
    }


async def _stored_unread(database: Database, conversation_id: str) -> dict[str, int]:
    conversation = await database.conversations.find_one({"_id": conversation_id})
    assert conversation is not None
    return {
        m["userId"]: conversation["lastSeq"] - max(m["readSeq"], m["joinSeq"]) - m["ownSinceRead"]
        async for m in database.memberships.find({"conversationId": exactly(conversation_id)})
    }


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


def difference(stored: Mapping[str, Sequence[str]], said: Mapping[str, Sequence[str]]) -> str:
    """Where what is stored differs from what was said, shortly."""
    parts = []
    for user_id in stored.keys() | said.keys():
        ours, theirs = Counter(said.get(user_id, ())), Counter(stored.get(user_id, ()))
        lost, extra = list((ours - theirs).elements()), list((theirs - ours).elements())
        if lost or extra:
            parts.append(f"{user_id}: lost {lost[:5]} ({len(lost)}), not accepted {extra[:5]} ({len(extra)})")
        elif list(stored[user_id]) != list(said[user_id]):
            parts.append(f"{user_id}: in another order: {swapped(said[user_id], stored[user_id])}")
    return "; ".join(parts)


def swapped(right: Sequence[str], wrong: Sequence[str]) -> str:
    """Where one order first differs from another."""
    at = next(n for n, (one, other) in enumerate(zip(right, wrong, strict=True)) if one != other)
    return f"at {at} said {list(right[at : at + 4])}, stored {list(wrong[at : at + 4])}"


def received_difference(listener: RecordingClient, heard: Sequence[str], numbers: Mapping[str, int]) -> str:
    """How what a listener heard differs from what is stored, shortly."""
    missed = sorted(number for id, number in numbers.items() if id not in set(heard))
    twice = sorted(numbers.get(id, 0) for id, times in Counter(heard).items() if times > 1)
    if not missed and not twice:
        return f"{listener.user_id} heard everything, in another order"
    return (
        f"{listener.user_id} on {listener.node} of {len(numbers)} missed {missed[:10]} ({len(missed)}), "
        f"heard twice {twice[:10]} ({len(twice)})"
    )
