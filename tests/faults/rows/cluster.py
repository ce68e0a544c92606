"""Servers and hosts of a cluster are killed, stepped down, or cut off."""

import asyncio

from clients.load_generator import Stopwatch
from faults.fault_run import FaultRun, in_thread
from faults.rows.cluster_members import move_primary, number_of, primary, redis_master, step_down

AWAY_SECONDS = 12.0
STEP_DOWNS = 3
ELECTIONS, ELECTION_SECONDS = 6, 10.0


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


async def mongodb_elections(run: FaultRun) -> None:
    """Have a primary elected every 10 s for a minute, whether all is as before or not."""
    async with run.traffic() as traffic:
        for _ in range(ELECTIONS):
            since = Stopwatch()
            await step_down(run)
            await asyncio.sleep(ELECTION_SECONDS - since.seconds)
        await run.wait_for_recovery(traffic)


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


async def host_with_primaries_cut_off(run: FaultRun) -> None:
    """Cut off the host with the master of Redis, once MongoDB's primary is there too."""
    address, _ = await redis_master(run)
    await move_primary(run, address)
    await host_cut_off(run, number_of(run, address))
    run.expect(
        address not in ((await redis_master(run))[0], await primary(run)), "the host lost neither role"
    )


async def _kill_for_a_while(run: FaultRun, part: str) -> None:
    async with run.traffic() as traffic:
        await in_thread(run.stack.kill, part)
        run.report(f"{part} is killed")
        await run.wait_for_recovery(traffic)
        await asyncio.sleep(AWAY_SECONDS)
        await in_thread(run.stack.start, part)
        await run.wait_for_recovery(traffic)
