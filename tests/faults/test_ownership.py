"""Scaling the workers moves partitions without visible effects."""

import asyncio

import pytest

from clients.chat import ChatUsers
from clients.invariants import assert_consistent
from clients.load_generator import LoadGenerator
from clients.recording_clients import RecordingClients
from clients.workers import PartitionShares
from parley.shared.mongo import Database
from parley.stack import Stack

SENDERS = [f"sender-{number}" for number in range(6)]
PAUSE = 0.02


@pytest.mark.slow
async def test_a_third_worker_takes_its_share_of_partitions_and_gives_it_back(
    fragile: Stack,
    users: ChatUsers,
    clients: RecordingClients,
    shares: PartitionShares,
    database: Database,
) -> None:
    groups = await clients.create_group_per_partition(*SENDERS, "idler")
    senders = await clients.connect_all(SENDERS, fragile.gateway_urls)
    listeners = await clients.connect_listeners("idler", fragile.gateway_urls)
    for listener in listeners:
        await listener.join_all(groups)

    async with LoadGenerator(senders, groups, PAUSE) as load:
        await load.wait_for_accepted(100)
        await asyncio.to_thread(fragile.scale, workers=3)
        await shares.wait_until(2, 3, 3)
        await load.wait_for_accepted(100)
        await asyncio.to_thread(fragile.scale, workers=2)
        await shares.wait_until(4, 4)
        await load.wait_for_accepted(100)

    assert all(client.refusals == [] for client in senders)
    for group in groups:
        await assert_consistent(database, users, group, senders=senders, listeners=listeners)
