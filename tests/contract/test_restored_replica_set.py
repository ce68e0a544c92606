"""A service stops when its driver refuses the primary of a replica set that was restored."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clients.chat import eventually
from clients.replica_set import ReplicaSet, replica_set
from parley.shared import mongo
from parley.shared.restoration import refuses_primary, stop_when_restored

ELECTIONS = 2
REFUSED_SECONDS = 2.0
STOPPED_SECONDS = 40.0


@pytest.fixture
async def replicas(tmp_path: Path) -> AsyncIterator[ReplicaSet]:
    """A replica set of three that is this test's own."""
    async with replica_set(tmp_path / "set") as running:
        yield running


async def restart(replicas: ReplicaSet) -> None:
    for member in replicas.members:
        member.start()
    await replicas.primary()


@pytest.mark.slow
async def test_a_service_stops_when_a_restoration_has_undone_elections_that_its_driver_has_seen(
    replicas: ReplicaSet, tmp_path: Path
) -> None:
    for member in replicas.members:
        member.kill()
    for number, member in enumerate(replicas.members):
        await asyncio.to_thread(member.back_up, tmp_path / f"backup-{number}")
    await restart(replicas)
    async with mongo.connect(replicas.url) as database:
        stopped = asyncio.Event()
        async with stop_when_restored(database, stopped, REFUSED_SECONDS):
            for _ in range(ELECTIONS):
                await (await replicas.primary()).step_down()
                await replicas.primary()
                await eventually(lambda: mongo.answers(database), STOPPED_SECONDS)
            through_elections = stopped.is_set()
            for number, member in enumerate(replicas.members):
                member.kill()
                await asyncio.to_thread(member.restore, tmp_path / f"backup-{number}")
            await restart(replicas)
            await eventually(stopped.is_set, STOPPED_SECONDS)

        assert not through_elections
        assert refuses_primary(database)
        async with mongo.connect(replicas.url) as anew:
            assert await eventually(lambda: mongo.answers(anew), STOPPED_SECONDS)
