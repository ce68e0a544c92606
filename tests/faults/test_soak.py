"""Clients that vanish abruptly leave no resources behind."""

import aiohttp
import pytest

from load.soak.resource_counts import Margins
from load.soak.soak import Soak, remains, table
from parley.stack import Stack

SECONDS = 5.0
MARGINS = Margins(memory=48, lapsing=10_000)
"""Wide margins: the services are not warmed up, so their pools still fill, and keys take minutes to lapse."""


@pytest.mark.slow
async def test_vanished_clients_leave_no_socket_task_room_key_or_queue_behind(fragile: Stack) -> None:
    async with aiohttp.ClientSession() as http:
        soak = Soak(fragile, http, slow=False)
        await soak.wait_until_balanced()
        await soak.prepare()
        before = await soak.count()
        await soak.run(SECONDS)
        after = await soak.settle(before, MARGINS)
    assert soak.scenarios.tally["answered"] > 20, soak.scenarios.tally
    assert not remains(before, after, MARGINS), table(before, after, MARGINS)
