"""Reads that share a round trip: each gets its own documents, and fails by its own fault only."""

import asyncio
import uuid
from typing import Any

import pytest

from clients.local_gateway import primary_round_trips
from parley.gateway.adapters.mongo.shared_reads import SharedReads
from parley.shared.documents import MESSAGES, USERS

HALF_A_PAIR = "\ud800"
"""Text that UTF-8 cannot encode."""


async def test_reads_at_the_same_time_share_round_trips(
    database: Any, reads: SharedReads, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [str(uuid.uuid4()) for _ in range(20)]
    await database[USERS].insert_many([{"_id": each, "name": each} for each in ids])
    with primary_round_trips(monkeypatch) as round_trips:
        found = await asyncio.gather(
            *(reads.by_id(USERS, [each, "nobody", ids[0]]) for each in ids),
            reads.find(
                {"find": USERS, "filter": {"_id": ids[3]}}, {"find": MESSAGES, "filter": {"_id": ids[3]}}
            ),
        )
    assert [[d["_id"] for d in documents] for documents in found[:-1]] == [[each, ids[0]] for each in ids]
    assert [[d["name"] for d in documents] for documents in found[-1]] == [[ids[3]], []]
    assert len(round_trips) <= 2
    assert await reads.find() == []


async def test_a_read_that_is_refused_leaves_the_others_alone(database: Any, reads: SharedReads) -> None:
    user_id = str(uuid.uuid4())
    await database[USERS].insert_one({"_id": user_id})
    wrong = {"find": USERS, "filter": {"$nowhere": 1}}
    results = await asyncio.gather(
        reads.by_id(USERS, [user_id]),
        reads.find(wrong),
        reads.by_id(USERS, [HALF_A_PAIR]),
        reads.by_id(USERS, [user_id]),
        return_exceptions=True,
    )
    assert results[0] == results[3] == [{"_id": user_id}]
    assert isinstance(results[1], Exception)
    assert isinstance(results[2], Exception)
