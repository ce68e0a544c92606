"""Servers and hosts of a cluster are killed, stepped down, or cut off."""

import asyncio
from contextlib import suppress

from pymongo.errors import PyMongoError
from redis.asyncio import Redis

from clients.chat import eventually
from faults.fault_run import FaultRun, in_thread
from parley.shared.redis import connect

AWAY_SECONDS = 12.0
STEP_DOWNS, STEP_DOWN_SECONDS = 3, 6
ELECTED_SECONDS = 20.0


async def rabbitmq_node_killed(run: FaultRun, number: int) -> None:
    await _kill_for_a_while(run, f"rabbitmq-{number}")


async def redis_master_killed(run: FaultRun) -> None:
    async with connect(run.stack.redis_url) as redis:
        address = await _master(redis)
    await _kill_for_a_while(run, f"redis-{_number(run, address)}")


async def mongodb_primary_killed(run: FaultRun) -> None:
    await _kill_for_a_while(run, f"mongodb-{_number(run, await _primary(run))}")


async def mongodb_stepped_down(run: FaultRun) -> None:
    async with run.traffic() as traffic:
        for _ in range(STEP_DOWNS):
            before = await _primary(run)
            with suppress(PyMongoError):  # The primary closes its connections.
                await run.database.client.admin.command("replSetStepDown", STEP_DOWN_SECONDS, force=True)

            async def is_elected(before: str = before) -> bool:
                return await _primary(run) not in ("", before)

            await run.wait_for("another primary is elected", is_elected, ELECTED_SECONDS)
            await run.wait_for_recovery(traffic)


async def host_killed(run: FaultRun, number: int) -> None:
    """Kill all processes of a host, and start them again later."""
    parts = [part.name for part in await in_thread(run.stack.status) if part.name.endswith(f"-{number}")]
    async with run.traffic() as traffic:
        for part in parts:
            await in_thread(run.stack.kill, part)
        await asyncio.sleep(AWAY_SECONDS)
        await in_thread(run.stack.up)
        await run.wait_for_recovery(traffic)


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


async def _primary(run: FaultRun) -> str:
    """Return the address of the set's primary, empty if none is known."""
    with suppress(PyMongoError):
        hello = await run.database.client.admin.command("hello")
        return str(hello.get("primary", "")).partition(":")[0]
    return ""


async def _master(redis: "Redis") -> str:
    """Return the address of the Redis that the sentinels name."""
    await eventually(redis.ping)
    (connection, *_) = redis.connection_pool._available_connections
    return str(connection.host)


def _number(run: FaultRun, address: str) -> int:
    return next(host.number for host in run.stack.hosts if host.address == address)
