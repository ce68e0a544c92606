"""Workers that fill the search index are killed: everything is found meanwhile, and indexed in the end."""

import asyncio
from typing import Any

import pytest

from clients.chat import ChatUsers, User, eventually
from parley.shared.documents import CONVERSATIONS
from parley.shared.mongo import Database
from parley.shared.search_index import INDEXED
from parley.stack import Stack

GROUPS, EACH = 12, 4
INDEXED_SECONDS = 30.0


async def found(user: User, text: str) -> set[str]:
    """Return the contents of all matches."""
    contents: set[str] = set()
    before: dict[str, Any] = {}
    while True:
        status, page = await user.rest("GET", "/search", q=text, limit=100, **before)
        assert status == 200, page
        contents |= {message["content"] for message in page["messages"]}
        if page["nextCursor"] is None:
            return contents
        before = {"before": page["nextCursor"]}


async def unindexed(database: Database, groups: list[str]) -> list[str]:
    """Return the conversations that are not indexed up to their heads."""
    heads = await database[CONVERSATIONS].find({"_id": {"$in": groups}}).to_list(None)
    return [head["_id"] for head in heads if head.get(INDEXED, {}).get("rev", 0) < head["rev"]]


@pytest.mark.slow
async def test_killed_indexers_leave_nothing_unfound_and_nothing_unindexed(
    fragile: Stack, users: ChatUsers, database: Database
) -> None:
    (ann,) = await users.sockets("ann")
    user = users.user("ann")
    groups = [await users.group(ann, "bob") for _ in range(GROUPS)]
    sent = set()
    for n in range(EACH):
        for group in groups:
            message = await ann.send(group, f"needle round-{n} {group}")
            await ann.wait_for("messageSent", messageId=message["_id"])
            sent.add(f"needle round-{n} {group}")
        # The next batch is noted and not indexed when its worker is killed.
        fragile.kill(f"worker-{1 + n % 2}")
        assert await found(user, "needle") == sent
        await asyncio.to_thread(fragile.up)

    async def is_indexed() -> bool:
        return not await unindexed(database, groups)

    await eventually(is_indexed, INDEXED_SECONDS)
    assert await found(user, "needle") == sent
    assert await found(user, f"eedle round-3 {groups[5]}") == {f"needle round-3 {groups[5]}"}
