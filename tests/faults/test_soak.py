"""People who come and go abruptly leave nothing behind."""

import aiohttp

from load.resource_counts import Margins
from load.soak import Soak, remains, table
from parley.stack import Stack

SECONDS = 5.0
MARGINS = Margins(memory=48, lapsing=10_000)
"""The services have not been warmed up: their pools still fill. What lapses takes minutes."""


async def test_whoever_vanishes_leaves_no_socket_task_room_key_or_queue_behind(fragile: Stack) -> None:
    async with aiohttp.ClientSession() as http:
        soak = Soak(fragile, http, slow=False)
        await soak.wait_until_balanced()
        await soak.prepare()
        before = await soak.count()
        await soak.run(SECONDS)
        after = await soak.settle(before, MARGINS)
    assert soak.scenarios.tally["answered"] > 20, soak.scenarios.tally
    assert not remains(before, after, MARGINS), table(before, after, MARGINS)
