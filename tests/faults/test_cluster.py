"""Rows of the cluster's table, on three hosts: messages are neither lost, doubled nor miscounted."""

import os
import re
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path

import pytest
from redis.asyncio import Redis

from clients.chat import eventually
from clients.operators import Operator
from clients.stacks import SETTINGS
from faults import render
from faults.cluster_table import ROWS
from faults.fault_run import run_row
from faults.row import Row
from parley.stack import Stack
from parley.stack.status import PartStatus

STANDBY = {"mongodb-2": "members", "rabbitmq-2": "nodes", "sentinel-3": "sentinels"}
"""Parts of which the others do without one, and the check of the doctor that has to name each."""
NOTICED_SECONDS = 90.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Three hosts with a RabbitMQ node, a MongoDB member, a gateway and a worker each."""
    with Stack(tmp_path_factory.mktemp("cluster"), hosts=3, settings=SETTINGS) as stack:
        yield stack


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in ROWS if row.tested], ids=attrgetter("name"))
async def test_a_row_of_the_clusters_table_holds(cluster: Stack, row: Row) -> None:
    outcome = await run_row(row, cluster, print)
    print(render.line(outcome))
    assert outcome.reasons == []


@pytest.mark.slow
async def test_the_doctor_names_each_member_that_is_away(cluster: Stack, tmp_path: Path) -> None:
    operator = Operator(cluster, tmp_path)
    parts = {part.name: part for part in cluster.status()}
    checks = {**STANDBY, await redis_replica(parts): "replicas"}
    frozen = [parts[name] for name in checks]

    async def problems() -> set[tuple[str, str]]:
        """Return the check and the address of each finding that is not good."""
        found = (await operator.run("doctor", "--json")).json["findings"]
        texts = [(each["check"], each["text"]) for each in found if each["level"] != "ok"]
        return {(check, next(iter(re.findall(r"[\d.]+:\d+", text)), text)) for check, text in texts}

    async def are_named() -> bool:
        expected = {(checks[part.name], f"{part.address}:{part.port}") for part in frozen}
        return await problems() == expected

    assert await problems() == set()
    for part in frozen:
        os.kill(part.pid, signal.SIGSTOP)
    try:
        await eventually(are_named, NOTICED_SECONDS)
    finally:
        for part in frozen:
            os.kill(part.pid, signal.SIGCONT)
    await eventually(lambda: has_none(problems), NOTICED_SECONDS)


async def redis_replica(parts: Mapping[str, PartStatus]) -> str:
    """Return the name of the part that is the replica of Redis at present."""
    for name in ("redis-1", "redis-2"):
        async with Redis(host=parts[name].address, port=parts[name].port or 0) as server:
            if (await server.role())[0] == b"slave":
                return name
    raise AssertionError("there is no replica")


async def has_none(problems: Callable[[], Awaitable[set[tuple[str, str]]]]) -> bool:
    return not await problems()
