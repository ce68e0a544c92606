"""The store of lost sockets' snapshots: Redis and the fake in memory behave alike."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable

import pytest

from clients.chat import eventually
from fakes.memory_snapshot_store import MemorySnapshotStore
from parley.gateway.adapters.redis.snapshots import RedisSnapshotStore
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.session_snapshot import SnapshotChange, SnapshotStore
from parley.shared.redis import open_commands
from parley.stack import Stack

Make = Callable[[int], SnapshotStore]
MINUTES = 120_000
FIELDS = {"user": "ann", "c:room": "1 2"}


@pytest.fixture(params=["redis", "cluster", "memory"])
async def make(request: pytest.FixtureRequest, stack: Stack) -> AsyncIterator[Make]:
    """Return a store whose snapshots expire after this many milliseconds."""
    if request.param == "memory":
        yield lambda ms: MemorySnapshotStore(ms / 1000)
        return
    is_cluster = request.param == "cluster"
    url = request.getfixturevalue("redis_cluster").url if is_cluster else stack.redis_url
    commands = open_commands(url)
    yield lambda ms: RedisSnapshotStore(commands, ms)
    await commands.close()


@pytest.fixture
def kept(make: Make) -> SnapshotStore:
    return make(MINUTES)


@pytest.fixture
def pid() -> str:
    return uuid.uuid4().hex


def take(pid: str, sid: str = "one") -> SnapshotChange:
    return SnapshotChange("take", pid, sid, FIELDS)


async def test_a_saved_snapshot_is_found(kept: SnapshotStore, pid: str) -> None:
    await kept.apply([take(pid)])

    assert await kept.find(pid) == FIELDS
    assert await kept.find(pid + "x") == {}


async def test_snapshot_changes_are_applied_in_order(kept: SnapshotStore, pid: str) -> None:
    more = SnapshotChange("change", pid, "one", {"c:other": "3 4"})
    less = SnapshotChange("change", pid, "one", {"c:other": "5 6"}, ["c:room", "never there"])
    await kept.apply([take(pid), more, less])

    assert await kept.find(pid) == {"user": "ann", "c:other": "5 6"}


async def test_an_old_owner_cannot_change_a_snapshot(kept: SnapshotStore, pid: str) -> None:
    late = SnapshotChange("change", pid, "one", {"c:room": "9 9"}), SnapshotChange("forget", pid, "one")
    await kept.apply([take(pid), take(pid, "two"), *late])

    assert await kept.find(pid) == FIELDS


async def test_a_new_owner_leaves_nothing_of_the_old_one(kept: SnapshotStore, pid: str) -> None:
    await kept.apply([take(pid), SnapshotChange("take", pid, "two", {"user": "ann"})])

    assert await kept.find(pid) == {"user": "ann"}


async def test_a_removed_snapshot_is_not_changed(kept: SnapshotStore, pid: str) -> None:
    await kept.apply([SnapshotChange("change", pid, "one", FIELDS)])

    assert await kept.find(pid) == {}


async def test_a_forgotten_snapshot_is_gone(kept: SnapshotStore, pid: str) -> None:
    await kept.apply([take(pid), SnapshotChange("forget", pid, "one")])

    assert await kept.find(pid) == {}
    assert await kept.renew([pid]) == [pid]


async def test_a_snapshot_that_is_not_renewed_expires(make: Make, pid: str) -> None:
    kept = make(200)
    await kept.apply([take(pid)])
    assert await kept.find(pid) == FIELDS

    async def is_gone() -> bool:
        return await kept.find(pid) == {}

    await eventually(is_gone, 5)


async def test_a_renewed_snapshot_stays(make: Make, pid: str) -> None:
    kept, other = make(1_000), uuid.uuid4().hex
    await kept.apply([take(pid), take(other)])

    async def the_other_is_gone() -> bool:
        assert await kept.renew([pid]) == []
        return await kept.find(other) == {}

    await eventually(the_other_is_gone, 5)
    assert await kept.find(pid) == FIELDS


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_a_redis_that_is_away_is_unavailable_and_names_no_private_id(pid: str, scheme: str) -> None:
    kept = RedisSnapshotStore(open_commands(f"{scheme}://127.0.0.1:1"))
    waits = (kept.find(pid), kept.apply([take(pid)]), kept.renew([pid]))

    for error in await asyncio.gather(*waits, return_exceptions=True):
        assert isinstance(error, Unavailable)
        assert pid not in repr(error)
        assert error.__cause__ is None
    await kept.close()
