"""A cluster loses data for good: of a primary, of a master, of a whole host."""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from pymongo import AsyncMongoClient

from clients.load_generator import Stopwatch
from clients.stacks import PARTITIONS
from faults.fault_run import FaultRun, in_thread
from faults.rows.cluster import kill_host
from faults.rows.cluster_members import number_of, primary

FROZEN_SECONDS = 15.0
"""Longer than all time-outs of a write: wtimeout, the socket's, and those of the retries after them."""

Freeze = Callable[[FaultRun, int], Awaitable[None]]


async def primary_lost_after_frozen_disks(run: FaultRun) -> None:
    """Lock the disks of both secondaries: they take no writes, and go on voting for the primary."""
    await _primary_lost(run, _lock_disk, _unlock_disk)


async def primary_lost_after_frozen_members(run: FaultRun) -> None:
    """Freeze both secondaries as a whole."""
    await _primary_lost(run, _freeze, _thaw)


async def _primary_lost(run: FaultRun, freeze: Freeze, thaw: Freeze) -> None:
    """Freeze both secondaries, lose the primary and its data while they are frozen, and thaw them."""
    lost = number_of(run, await primary(run))
    others = [host.number for host in run.stack.hosts if host.number != lost]
    async with run.traffic() as traffic:
        async with AsyncExitStack() as frozen:
            for number in others:
                await freeze(run, number)
                frozen.push_async_callback(thaw, run, number)
            before = len(traffic.accepted)
            await asyncio.sleep(FROZEN_SECONDS)
            await in_thread(run.stack.kill, f"mongodb-{lost}")
            await in_thread(run.stack.erase, f"mongodb-{lost}")
            waiting = len(traffic.accepted) - before
            run.report(
                f"mongodb-{lost} is lost, with {waiting} messages accepted while the others were frozen"
            )
            run.expect(waiting > 0, "no message was accepted meanwhile")
        await run.wait_for_recovery(traffic)
        await in_thread(run.stack.start, f"mongodb-{lost}")
        await run.wait_for_recovery(traffic)


async def _lock_disk(run: FaultRun, number: int) -> None:
    await admin(run, number, "fsync", lock=True)


async def _unlock_disk(run: FaultRun, number: int) -> None:
    await admin(run, number, "fsyncUnlock")


async def admin(run: FaultRun, number: int, command: str, **arguments: object) -> None:
    """Run a command on the MongoDB member of one host."""
    members = run.stack.mongo_url.removeprefix("mongodb://").partition("/")[0].split(",")
    async with AsyncMongoClient(f"mongodb://{members[number - 1]}/?directConnection=true") as client:
        await client.admin.command(command, **arguments)


async def _freeze(run: FaultRun, number: int) -> None:
    await in_thread(run.stack.signal, f"mongodb-{number}", signal.SIGSTOP)


async def _thaw(run: FaultRun, number: int) -> None:
    await in_thread(run.stack.signal, f"mongodb-{number}", signal.SIGCONT)


async def host_lost(run: FaultRun, number: int, then: int) -> None:
    """Lose a host with all its data, bring it back empty, and then kill another one.

    Nothing works without the second host unless the first one holds everything again.
    """
    servers = [f"{kind}-{number}" for kind in ("rabbitmq", "redis", "sentinel", "mongodb")]
    async with run.traffic() as traffic:
        await kill_host(run, number)
        for name in servers:
            await in_thread(run.stack.erase, name)
        await traffic.wait_for_accepted()
        watch = Stopwatch()
        await in_thread(run.stack.up)
        run.report(f"host {number} has joined again after {watch.seconds:.1f} s")
        await run.wait_for_recovery(traffic)
        await expect_replicas(run)
        await kill_host(run, then)
        await traffic.wait_for_accepted()
        await in_thread(run.stack.up)
        await run.wait_for_recovery(traffic)


async def expect_replicas(run: FaultRun) -> None:
    """Check that each queue has a replica on each host."""
    fields = ("name", "members", "online")
    output = await in_thread(run.stack.rabbitmqctl, "-q", "list_queues", *fields, "--formatter", "json")
    queues = [queue for queue in json.loads(output) if queue["name"].startswith("parley.records.")]
    few = [
        queue for queue in queues if not len(queue["members"]) == len(queue["online"]) == len(run.stack.hosts)
    ]
    run.expect(len(queues) == PARTITIONS.count and not few, f"queues without a replica on each host: {few}")
