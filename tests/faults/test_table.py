"""Rows of the table: messages are neither lost, doubled nor miscounted, and effects end in time."""

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

SHORTENED = {"mongodb-killed": partial(servers.mongodb_killed, away=10)}
"""Shorter versions of slow rows."""

TESTED = [
    replace(row, run=SHORTENED.get(row.name, row.run)) for row in ROWS if row.tested or row.name in SHORTENED
]


@pytest.mark.parametrize("row", TESTED, ids=attrgetter("name"))
async def test_a_row_of_the_table_holds(fragile: Stack, row: Row) -> None:
    outcome = await run_row(row, fragile, print)
    print(render.line(outcome))
    assert outcome.reasons == []
