"""Rows of the table: nothing is lost, doubled or miscounted, nor felt for longer than it may be."""

from dataclasses import replace
from functools import partial
from operator import attrgetter

import pytest

from faults import render
from faults.fault_run import run_row
from faults.row import Row
from faults.rows import servers
from faults.table import ROWS
from parley.stack import Stack

BRIEFLY = {"mongodb-killed": partial(servers.mongodb_killed, away=10)}
"""What takes its time in the table, shortened."""

TESTED = [
    replace(row, run=BRIEFLY.get(row.name, row.run)) for row in ROWS if row.tested or row.name in BRIEFLY
]


@pytest.mark.parametrize("row", TESTED, ids=attrgetter("name"))
async def test_a_row_of_the_table_holds(fragile: Stack, row: Row) -> None:
    outcome = await run_row(row, fragile, print)
    print(render.line(outcome))
    assert outcome.reasons == []
