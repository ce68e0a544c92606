"""The search index is built anew beside running services: everything is found meanwhile."""

import asyncio
import os
import sys
from typing import Any

from clients.chat import ChatUsers, User, eventually
from parley.shared.documents import CONVERSATIONS
from parley.shared.mongo import Database
from parley.shared.search_index import INDEXED
from parley.stack import Stack

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


async def rebuild(stack: Stack) -> str:
    """Build the index anew as `make reindex` does; return the output."""
    command = (sys.executable, "-m", "parley.persistence_worker.search")
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **stack.environment}, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def unindexed(database: Database, groups: list[str]) -> list[str]:
    """Return the conversations that are not indexed up to their heads."""
    heads = await database[CONVERSATIONS].find({"_id": {"$in": groups}}).to_list(None)
    return [head["_id"] for head in heads if head.get(INDEXED, {}).get("rev", 0) < head["rev"]]


async def test_a_rebuild_beside_running_services_hides_nothing(
    fragile: Stack, users: ChatUsers, database: Database
) -> None:
    (ann,) = await users.sockets("ann")
    user, group = users.user("ann"), await users.group(ann, "bob")
    await ann.send(group, "needle")

    async def is_indexed() -> bool:
        return not await unindexed(database, [group])

    await eventually(is_indexed, INDEXED_SECONDS)
    rebuilding = asyncio.create_task(rebuild(fragile))
    while not rebuilding.done():
        assert await found(user, "needle") == {"needle"}
    assert "search index: " in await rebuilding
    await eventually(is_indexed, INDEXED_SECONDS)
    assert await found(user, "needle") == {"needle"}
