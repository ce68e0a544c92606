"""Servers of a cluster are frozen: their connections stay open, but nothing is answered."""

import asyncio
import signal

from clients.load_generator import Stopwatch
from faults.fault_run import FaultRun
from faults.rows.cluster_members import number_of, primary, redis_master, secondaries

FROZEN_SECONDS = 15.0
"""Longer than the cluster of each kind takes to give a silent member up."""


async def rabbitmq_node_frozen(run: FaultRun, number: int) -> None:
    await _freeze_for_a_while(run, f"rabbitmq-{number}")


async def redis_master_frozen(run: FaultRun) -> None:
    before = await redis_master(run)
    await _freeze_for_a_while(run, f"redis-{number_of(run, before[0])}")
    run.expect(await redis_master(run) != before, "the frozen master was not replaced")


async def mongodb_primary_frozen(run: FaultRun) -> None:
    before = await primary(run)
    await _freeze_for_a_while(run, f"mongodb-{number_of(run, before)}")
    run.expect(await primary(run) != before, "the frozen primary was not replaced")


async def mongodb_secondary_frozen(run: FaultRun) -> None:
    before = await primary(run)
    await _freeze_for_a_while(run, f"mongodb-{number_of(run, (await secondaries(run))[0])}")
    run.expect(await primary(run) == before, "the primary was replaced though it was not frozen")


async def _freeze_for_a_while(run: FaultRun, part: str) -> None:
    async with run.traffic() as traffic:
        run.stack.signal(part, signal.SIGSTOP)
        run.report(f"{part} is frozen")
        frozen = Stopwatch()
        try:
            await run.wait_for_recovery(traffic)
            await asyncio.sleep(FROZEN_SECONDS - frozen.seconds)
        finally:
            run.stack.signal(part, signal.SIGCONT)
        await run.wait_for_recovery(traffic)
