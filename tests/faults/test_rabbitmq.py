"""RabbitMQ is frozen, or killed while its queues are new."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clients.chat import ChatUsers, eventually
from clients.invariants import assert_consistent
from clients.load_generator import LoadGenerator
from clients.recording_clients import RecordingClient, RecordingClients
from clients.stacks import SETTINGS
from clients.workers import PartitionShares
from parley.shared.mongo import Database
from parley.stack import Stack

PAUSE = 0.02
FROZEN_SECONDS = 40.0


async def test_services_work_again_after_rabbitmq_was_frozen_past_its_heartbeats(
    fragile: Stack,
    users: ChatUsers,
    group: str,
    senders: list[RecordingClient],
    listeners: list[RecordingClient],
    database: Database,
    shares: PartitionShares,
) -> None:
    async with LoadGenerator(senders, [group], PAUSE) as load:
        await load.wait_for_accepted(50)
        fragile.signal("rabbitmq", signal.SIGSTOP)
        try:
            await shares.wait_until(0, 0, deadline=FROZEN_SECONDS)
        finally:
            fragile.signal("rabbitmq", signal.SIGCONT)
        await shares.wait_until(4, 4, deadline=FROZEN_SECONDS)
        await load.wait_for_accepted(50)
    assert await assert_consistent(database, users, group, senders=senders, listeners=listeners)


@pytest.fixture
async def new_stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A stack that has only just declared its queues."""
    stack = Stack(tmp_path, gateways=1, workers=1, settings=SETTINGS)
    await asyncio.to_thread(stack.up)
    yield stack
    await asyncio.to_thread(stack.down)


@pytest.fixture
async def new_users(new_stack: Stack) -> AsyncIterator[ChatUsers]:
    users = ChatUsers(new_stack.url, new_stack.jwt_secret)
    yield users
    await users.close()


@pytest.mark.slow
async def test_new_queues_keep_their_records_when_rabbitmq_is_killed(
    new_stack: Stack, new_users: ChatUsers
) -> None:
    new_stack.signal("worker-1", signal.SIGSTOP)
    async with RecordingClients(new_users) as clients:
        groups = await clients.create_group_per_partition("sender", "idler")
        client = await clients.connect("sender")
        await asyncio.gather(*(client.send_until_accepted(group, "before") for group in groups))
        new_stack.signal("rabbitmq", signal.SIGKILL)
        new_stack.signal("worker-1", signal.SIGCONT)
        await asyncio.gather(*(client.send_until_accepted(group, "after") for group in groups))
        for group in groups:
            await eventually(lambda group=group: are_stored(new_users, group, ["before", "after"]))  # type: ignore[misc]


async def are_stored(users: ChatUsers, group: str, contents: list[str]) -> bool:
    return [message["content"] for message in await users.user("idler").history(group)] == contents
