"""Rows of the cluster's table, on three hosts: messages are neither lost, doubled nor miscounted."""

from collections.abc import Iterator
from operator import attrgetter

import pytest

from faults import render
from faults.cluster_table import ROWS
from faults.fault_run import run_row
from faults.row import Row
from parley.stack import Stack


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Three hosts with a RabbitMQ node, a MongoDB member, a gateway and a worker each."""
    with Stack(tmp_path_factory.mktemp("cluster"), hosts=3, settings={"RATE_LIMITS": "off"}) as stack:
        yield stack


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in ROWS if row.tested], ids=attrgetter("name"))
async def test_a_row_of_the_clusters_table_holds(cluster: Stack, row: Row) -> None:
    outcome = await run_row(row, cluster, print)
    print(render.line(outcome))
    assert outcome.reasons == []
