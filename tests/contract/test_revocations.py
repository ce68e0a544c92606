"""The store of revocations: MongoDB and the fake in memory behave alike."""

import asyncio
import uuid
from datetime import timedelta

import pytest

from fakes.memory_revocations import MemoryRevocations
from parley.gateway.adapters.mongo.revocations import MongoRevocations
from parley.gateway.core.ports import Revocations
from parley.shared.documents import REVOCATIONS
from parley.shared.migrations import migrate
from parley.shared.model import Revocation, new_id, now
from parley.shared.mongo import Database


@pytest.fixture(params=["memory", "mongodb"])
async def revocations(request: pytest.FixtureRequest, database: Database) -> Revocations:
    if request.param == "memory":
        return MemoryRevocations()
    await migrate(database)
    return MongoRevocations(database)


def of(**named: str) -> Revocation:
    """Return a revocation for a user of this test only."""
    return Revocation(id=new_id(), before=100.5, until=now() + timedelta(days=1), **named)


async def kept(revocations: Revocations, *wanted: Revocation) -> list[Revocation]:
    found = {r.id: r for r in await revocations.all()}
    return [found[each.id] for each in wanted]


async def test_a_revocation_is_kept_unchanged(revocations: Revocations) -> None:
    name = f"of:a user/{uuid.uuid4()}"
    put = [of(user_id=name), of(token_id=name), of(user_id=name, token_id=name), of(user_id=name)]
    for each in put:
        await revocations.put(each)

    assert await kept(revocations, *put) == put


async def test_concurrent_revocations_are_all_kept_and_counted(revocations: Revocations) -> None:
    before = await revocations.count()
    put = [of(user_id="ann") for _ in range(20)]

    await asyncio.gather(*map(revocations.put, put))

    assert await revocations.count() == before + 20
    assert await kept(revocations, *put) == put


async def test_mongodb_removes_expired_revocations(database: Database) -> None:
    await migrate(database)

    made = (await database[REVOCATIONS].index_information()).values()

    assert [index["expireAfterSeconds"] for index in made if index["key"] == [("until", 1)]] == [0]
