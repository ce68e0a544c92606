"""Migrations of indexes, on a real database and on one in memory that follows MongoDB's rules."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pymongo import IndexModel

from fakes.memory_indexes import MemoryDatabase
from parley.shared.documents import MIGRATIONS
from parley.shared.indexes import INDEXES
from parley.shared.migrations import RETIREMENT, migrate
from parley.shared.settings import StartupError

BEFORE = IndexModel([("a", 1)], name="own")
AFTER = IndexModel([("a", 1), ("b", -1)], name="own")


@pytest.fixture
def memory() -> MemoryDatabase:
    return MemoryDatabase()


@pytest.fixture(params=["memory", "mongodb"])
def any_database(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue("memory" if request.param == "memory" else "database")


@pytest.fixture
def collection() -> str:
    """Return the name of a collection that no other test uses."""
    return f"migrations_{uuid4().hex}"


Keys = tuple[tuple[str, int], ...]
A: Keys = (("a", 1),)
A_B: Keys = (("a", 1), ("b", -1))


async def keys(database: Any, collection: str) -> set[Keys]:
    """Return the fields of a collection's indexes, with their directions."""
    information = await database[collection].index_information()
    return {tuple(index["key"]) for name, index in information.items() if name != "_id_"}


async def lapse(database: Any, collection: str) -> None:
    """Let the only superseded index of a collection be so for more than a week."""
    (built,) = (await database[collection].index_information()).keys() - {"_id_", "own"}
    step = {"_id": f"{collection}.own -> {built}"}
    record = await database[MIGRATIONS].find_one(step)
    assert record is not None
    at = record["at"] - RETIREMENT - timedelta(seconds=1)
    await database[MIGRATIONS].update_one(step, {"$set": {"at": at}})


async def test_every_declared_index_is_built_once(any_database: Any) -> None:
    for _ in range(2):
        await migrate(any_database)
    for collection, indexes in INDEXES.items():
        assert await keys(any_database, collection) == {tuple(i.document["key"].items()) for i in indexes}


async def test_a_changed_index_is_built_beside_its_predecessor(any_database: Any, collection: str) -> None:
    for index in (BEFORE, AFTER, AFTER, BEFORE, AFTER):
        await migrate(any_database, {collection: [index]})
    assert await keys(any_database, collection) == {A, A_B}


async def test_a_superseded_index_is_dropped_after_a_week(any_database: Any, collection: str) -> None:
    await migrate(any_database, {collection: [BEFORE]})
    await migrate(any_database, {collection: [AFTER]})
    await lapse(any_database, collection)

    await migrate(any_database, {collection: [AFTER]})

    assert await keys(any_database, collection) == {A_B}


async def test_a_service_of_the_previous_version_starts_during_and_after_an_upgrade(
    any_database: Any, collection: str
) -> None:
    await migrate(any_database, {collection: [BEFORE]})
    await migrate(any_database, {collection: [AFTER]})
    await any_database[collection].create_indexes([BEFORE])
    await any_database[collection].drop_index("own")
    await any_database[collection].create_indexes([BEFORE])
    await migrate(any_database, {collection: [AFTER]})


async def test_an_index_that_cannot_stand_beside_its_predecessor_replaces_it(
    any_database: Any, collection: str
) -> None:
    for seconds in (0, 60, 60):
        lapsing = IndexModel([("until", 1)], name="kept", expireAfterSeconds=seconds)
        await migrate(any_database, {collection: [lapsing]})
    (index,) = [
        index
        for index in (await any_database[collection].index_information()).values()
        if index["key"] == [("until", 1)]
    ]
    assert index["expireAfterSeconds"] == 60


async def test_a_unique_index_that_cannot_stand_beside_another_is_refused(
    any_database: Any, collection: str
) -> None:
    first = IndexModel([("a", 1)], name="number", unique=True, expireAfterSeconds=0)
    await migrate(any_database, {collection: [first]})
    second = IndexModel([("a", 1)], name="number", unique=True, expireAfterSeconds=60)
    with pytest.raises(StartupError, match=f"index number of {collection} .*Stop all services"):
        await migrate(any_database, {collection: [second]})
    assert await keys(any_database, collection) == {A}


async def test_a_unique_index_over_duplicates_is_refused(any_database: Any, collection: str) -> None:
    await any_database[collection].insert_many([{"_id": "1", "a": 1, "b": 1}, {"_id": "2", "a": 1, "b": 1}])
    number = IndexModel([("a", 1), ("b", 1)], name="number", unique=True)
    with pytest.raises(StartupError, match=f"unique index number of {collection} .* same a, b. Remove"):
        await migrate(any_database, {collection: [number]})
