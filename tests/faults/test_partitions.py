"""The number of partitions is changed under load: nothing is lost, doubled or reordered by it."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from contextlib import suppress

import pytest

from clients.chat import ChatUsers, eventually
from clients.invariants import assert_consistent
from clients.load_generator import LoadGenerator, longest_stop
from clients.metrics import figures
from clients.partition_changes import CHANGED_SECONDS, change_partitions, start_change
from clients.reconnecting_client import ReconnectingClient
from clients.recording_clients import RecordingClient, RecordingClients
from clients.stacks import SETTINGS
from parley.gateway.adapters.rabbitmq.outbox import RabbitOutbox
from parley.gateway.core.errors import Unavailable
from parley.shared import redis, rooms
from parley.shared.layouts import CLOSING, PREPARING, Layout, Layouts
from parley.shared.model import new_id, now
from parley.shared.mongo import Database
from parley.shared.partitions import Partitions
from parley.shared.records import DeliveredMark
from parley.stack import Stack

SENDERS = [f"sender-{number}" for number in range(8)]
GROUPS = 12
PAUSE = 0.02
QUIET_STOP_SECONDS = 2.0
"""The longest time without an accepted send of one client, while nothing is killed."""
KILLED_STOP_SECONDS = 20.0
"""The same while all workers are killed, and start again."""
SERVER_STOP_SECONDS = 30.0
"""The same while a server is killed, and starts again."""


@pytest.fixture(scope="module")
def divisible(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose number of partitions no other test relies on."""
    with Stack(tmp_path_factory.mktemp("divisible"), gateways=2, workers=2, settings=SETTINGS) as stack:
        yield stack


@pytest.fixture
def stack(divisible: Stack) -> Iterator[Stack]:
    """The stack of the fixtures `users` and `database` in this module."""
    yield divisible
    divisible.up()


@pytest.fixture
def layouts(database: Database) -> Layouts:
    return Layouts(database)


@pytest.fixture
async def groups(clients: RecordingClients) -> list[str]:
    return [await clients.create_group(*SENDERS, "idler") for _ in range(GROUPS)]


@pytest.fixture
async def listeners(stack: Stack, clients: RecordingClients, groups: list[str]) -> list[RecordingClient]:
    """Clients that join all groups, on each gateway, one for each transport."""
    listeners = await clients.connect_listeners("idler", stack.gateway_urls)
    for listener in listeners:
        await listener.join_all(groups)
    return listeners


@pytest.fixture
async def senders(
    stack: Stack, users: ChatUsers, clients: RecordingClients, groups: list[str]
) -> list[ReconnectingClient]:
    """Clients that reconnect through nginx when their gateway is killed."""
    senders = []
    for name in SENDERS:
        senders.append(await clients.add(ReconnectingClient(users.user(name), users.url)))
        await senders[-1].join_all(groups)
    return senders


async def phase(layouts: Layouts, wanted: str, seconds: float = 20.0) -> Layout:
    """Wait for a phase, and return the layout."""
    async with asyncio.timeout(seconds):
        while True:
            layout = await layouts.read()
            if layout is not None and layout.phase == wanted:
                return layout
            await asyncio.sleep(0)


async def another_number(layouts: Layouts) -> tuple[Layout, int]:
    """Return the present layout, and a number of partitions that it does not have."""
    layout = await layouts.read()
    assert layout is not None
    return layout, 8 if layout.current.count != 8 else 16


async def changed(layouts: Layouts, count: int) -> Layout:
    """Wait until there are so many partitions, and no change goes on."""
    found: list[Layout] = []

    async def is_changed() -> bool:
        layout = await layouts.read()
        found.append(layout or Layout(current=Partitions(0)))
        return found[-1].current.count == count and not found[-1].is_changing

    await eventually(is_changed, CHANGED_SECONDS)
    return found[-1]


async def queues(stack: Stack) -> list[str]:
    """Return the names of the queues of records."""
    listed = await asyncio.to_thread(stack.rabbitmqctl, "list_queues", "--silent", "name")
    return sorted(name for name in listed.split() if name.startswith("parley.records"))


async def show(stack: Stack, count: int) -> bool:
    """Return whether the metrics show so many partitions, all held, and all services connected."""
    urls = [*stack.gateway_urls, *stack.worker_urls]
    held = sum(await figures(stack.worker_urls, "parley_partitions_held"))
    connected = await figures(urls, "parley_broker_connected")
    return held == count and await figures(urls, "parley_partitions") == [count] * 4 and all(connected)


@pytest.mark.slow
async def test_the_number_is_doubled_and_quartered_under_load_without_a_refusal(
    stack: Stack,
    users: ChatUsers,
    database: Database,
    layouts: Layouts,
    groups: list[str],
    senders: list[ReconnectingClient],
    listeners: list[RecordingClient],
) -> None:
    async with LoadGenerator(senders, groups, PAUSE) as load:
        await load.wait_for_accepted(200)
        for count in (16, 4):
            output = await change_partitions(stack, str(count))
            print(output)
            layout = await changed(layouts, count)
            await load.wait_for_accepted(200)
            assert await queues(stack) == sorted(layout.current.queues)
            assert output.splitlines()[-1].startswith(f"{count} partitions (epoch {layout.current.epoch})")
            await eventually(lambda count=count: show(stack, count))  # type: ignore[misc]

    stop = longest_stop(senders)
    print(f"the longest time without an accepted send of a client: {stop:.2f} s")
    assert [error for client in senders for error in client.refusals] == []
    assert stop < QUIET_STOP_SECONDS
    for group in groups:
        await assert_consistent(database, users, group, senders=senders, listeners=listeners)


@pytest.mark.slow
@pytest.mark.parametrize("killed_in", [PREPARING, CLOSING])
async def test_a_change_goes_on_when_the_command_a_gateway_and_the_worker_are_killed(
    stack: Stack,
    users: ChatUsers,
    database: Database,
    layouts: Layouts,
    groups: list[str],
    senders: list[ReconnectingClient],
    killed_in: str,
) -> None:
    before, count = await another_number(layouts)
    async with LoadGenerator(senders, groups, PAUSE) as load:
        await load.wait_for_accepted(200)
        process = await start_change(stack, str(count))
        await phase(layouts, killed_in)
        process.kill()
        for part in ("worker-1", "gateway-1", "worker-2"):
            with suppress(ProcessLookupError):
                await asyncio.to_thread(stack.signal, part, signal.SIGKILL)
        await process.wait()
        layout = await changed(layouts, count)
        await load.wait_for_accepted(200, deadline=30)

    stop = longest_stop(senders)
    print(f"killed while {killed_in}: {layout}, {stop:.1f} s without an accepted send")
    assert layout.current.epoch == before.current.epoch + 1
    assert {e["code"] for c in senders for e in c.refusals} <= {"UNAVAILABLE", "OVERLOADED"}
    assert stop < KILLED_STOP_SECONDS
    for group in groups:
        await assert_consistent(database, users, group, senders=senders, listeners=[])


@pytest.mark.slow
@pytest.mark.parametrize("server", ["mongodb", "rabbitmq", "redis"])
async def test_a_change_goes_on_when_a_server_is_killed_while_nothing_is_published(
    stack: Stack,
    users: ChatUsers,
    database: Database,
    layouts: Layouts,
    groups: list[str],
    senders: list[ReconnectingClient],
    server: str,
) -> None:
    _, count = await another_number(layouts)
    async with LoadGenerator(senders, groups, PAUSE) as load:
        await load.wait_for_accepted(200)
        process = await start_change(stack, str(count))
        await phase(layouts, CLOSING)
        await asyncio.to_thread(stack.signal, server, signal.SIGKILL)
        output, errors = await process.communicate()
        print(output.decode(), errors.decode())
        await load.wait_for_accepted(200, deadline=30)

    stop = longest_stop(senders)
    print(f"{server} killed: {stop:.1f} s without an accepted send")
    assert process.returncode == 0
    assert {e["code"] for c in senders for e in c.refusals} <= {"UNAVAILABLE", "OVERLOADED"}
    assert stop < SERVER_STOP_SECONDS
    for group in groups:
        await assert_consistent(database, users, group, senders=senders, listeners=[])


@pytest.mark.slow
async def test_a_frozen_gateway_is_waited_for_and_can_be_cut_off(
    stack: Stack,
    users: ChatUsers,
    database: Database,
    layouts: Layouts,
    groups: list[str],
    senders: list[ReconnectingClient],
) -> None:
    before = await eventually(layouts.read)
    count = before.current.count + 1
    async with LoadGenerator(senders, groups, PAUSE) as load:
        await load.wait_for_accepted(100)
        stack.signal("gateway-2", signal.SIGSTOP)
        process = await start_change(stack, str(count))

        async def is_noted() -> bool:
            return "1 of 2 gateways do not take part" in await change_partitions(stack, "--status")

        await eventually(is_noted, 20)
        process.terminate()
        await process.wait()
        await change_partitions(stack, str(count), "--force")
        stack.signal("gateway-2", signal.SIGCONT)
        await load.wait_for_accepted(200)

    await eventually(lambda: all(part.ready for part in stack.status()), 20)
    for group in groups:
        await assert_consistent(database, users, group, senders=senders, listeners=[])


@pytest.mark.slow
async def test_a_gateway_that_knows_no_epochs_holds_the_change_up_and_is_fenced_when_it_is_forced(
    stack: Stack, layouts: Layouts
) -> None:
    before = await eventually(layouts.read)
    count = before.current.count + 1
    old = RabbitOutbox(stack.rabbitmq_url, before.current, limit=10, name="old")
    old.start()
    connection = redis.connect(stack.redis_url)
    async with connection.pubsub() as subscriber:
        # Gateways of all versions are counted by their subscription to this channel.
        await subscriber.subscribe(rooms.channel(rooms.everyone()))
        await eventually(lambda: old.connected)
        await old.put(mark())
        process = await start_change(stack, str(count))
        held_up = await phase(layouts, PREPARING)
        await eventually(lambda: _has_note(layouts), 20)
        await old.put(mark())
        assert held_up.current == before.current
        await change_partitions(stack, str(count), "--force")
        await process.wait()

        with pytest.raises(Unavailable):
            await old.put(mark())
        await eventually(lambda: not old.connected)
        with pytest.raises(Unavailable):
            await old.put(mark())
        assert await queues(stack) == sorted(Partitions(count, before.current.epoch + 1).queues)
    await connection.aclose()
    await old.stop()


async def _has_note(layouts: Layouts) -> bool:
    layout = await layouts.read()
    return layout is not None and "1 of 3 gateways do not take part" in layout.note


def mark() -> DeliveredMark:
    return DeliveredMark(id=new_id(), conversation_id="none", user_id="ann", seq=1, at=now())


@pytest.mark.slow
@pytest.mark.parametrize("service", ["gateway", "persistence_worker"])
async def test_a_number_that_the_partitions_never_had_is_refused_at_start(stack: Stack, service: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    ports = {"GATEWAY_PORT": port, "WORKER_PORT": port}
    settings = {**stack.environment, **ports, "PARTITIONS": "999", "LOG_LEVEL": "error"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"parley.{service}"),
        cwd=stack.directory,
        env={**os.environ, **settings},
        stderr=PIPE,
        stdout=PIPE,
    )
    async with asyncio.timeout(30):
        _, errors = await process.communicate()

    assert process.returncode == 1
    (line,) = errors.decode().splitlines()
    assert line.startswith("PARTITIONS is 999, but the stored number of partitions is ")
