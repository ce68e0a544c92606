"""Servers and hosts of a cluster are killed, stepped down, or cut off."""

import asyncio
from contextlib import suppress

from pymongo.errors import PyMongoError

from clients.chat import eventually
from faults.fault_run import FaultRun, in_thread
from parley.shared.redis import connect

AWAY_SECONDS = 12.0
STEP_DOWNS, STEP_DOWN_SECONDS = 3, 6
ELECTED_SECONDS = 20.0


async def rabbitmq_node_killed(run: FaultRun, number: int) -> None:
    await _kill_for_a_while(run, f"rabbitmq-{number}")


async def redis_master_killed(run: FaultRun) -> None:
    await _kill_for_a_while(run, f"redis-{number_of(run, (await redis_master(run))[0])}")


async def mongodb_primary_killed(run: FaultRun) -> None:
    await _kill_for_a_while(run, f"mongodb-{number_of(run, await primary(run))}")


async def mongodb_stepped_down(run: FaultRun) -> None:
    async with run.traffic() as traffic:
        for _ in range(STEP_DOWNS):
            await step_down(run)
            await run.wait_for_recovery(traffic)


async def step_down(run: FaultRun) -> None:
    """Have the primary step down, and wait until another one is elected."""
    before = await primary(run)
    with suppress(PyMongoError):  # The primary closes its connections.
        await run.database.client.admin.command("replSetStepDown", STEP_DOWN_SECONDS, force=True)

    async def is_elected() -> bool:
        return await primary(run) not in ("", before)

    await run.wait_for("another primary is elected", is_elected, ELECTED_SECONDS)


async def host_killed(run: FaultRun, number: int) -> None:
    """Kill all processes of a host, and start them again later."""
    async with run.traffic() as traffic:
        await kill_host(run, number)
        await asyncio.sleep(AWAY_SECONDS)
        await in_thread(run.stack.up)
        await run.wait_for_recovery(traffic)


async def kill_host(run: FaultRun, number: int) -> None:
    """Kill all processes of a host."""
    for part in await in_thread(run.stack.status):
        if part.name.endswith(f"-{number}"):
            await in_thread(run.stack.kill, part.name)


async def host_cut_off(run: FaultRun, number: int) -> None:
    async with run.traffic() as traffic:
        await in_thread(run.stack.cut, number)
        await asyncio.sleep(AWAY_SECONDS)
        await in_thread(run.stack.join, number)
        await run.wait_for_recovery(traffic)


async def _kill_for_a_while(run: FaultRun, part: str) -> None:
    async with run.traffic() as traffic:
        await in_thread(run.stack.kill, part)
        run.report(f"{part} is killed")
        await run.wait_for_recovery(traffic)
        await asyncio.sleep(AWAY_SECONDS)
        await in_thread(run.stack.start, part)
        await run.wait_for_recovery(traffic)


async def primary(run: FaultRun) -> str:
    """Return the address of the set's primary, empty if none is known."""
    with suppress(PyMongoError):
        hello = await run.database.client.admin.command("hello")
        return str(hello.get("primary", "")).partition(":")[0]
    return ""


async def redis_master_url(run: FaultRun) -> str:
    """Return the URL of the Redis that is the master now."""
    address, port = await redis_master(run)
    return f"redis://{address}:{port}/0"


async def redis_master(run: FaultRun) -> tuple[str, int]:
    """Return the address and the port of the Redis that the sentinels name."""
    async with connect(run.stack.redis_url) as redis:
        await eventually(redis.ping)
        (connection, *_) = redis.connection_pool._available_connections
        return str(connection.host), int(connection.port)


def number_of(run: FaultRun, address: str) -> int:
    return next(host.number for host in run.stack.hosts if host.address == address)
