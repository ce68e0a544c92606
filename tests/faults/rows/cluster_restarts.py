"""Servers of a cluster are restarted one after the other, or one is killed while another restarts."""

import asyncio
from collections.abc import Sequence

from faults.fault_run import FaultRun, in_thread
from faults.rows.cluster_members import number_of, primary, redis_master, secondaries
from faults.traffic import Traffic

AWAY_SECONDS, LONGEST_AWAY_SECONDS = 5.0, 30.0
"""Seconds for which both servers are away, and the most with their start."""
KINDS = ("gateway", "worker", "mongodb", "rabbitmq", "redis", "sentinel", "epmd")
"""The kinds of parts of a host, in the order in which they are stopped."""


async def rabbitmq_nodes_away(run: FaultRun, killed: int, restarted: int) -> None:
    """Kill a node while another one restarts: no majority is left, and sends are refused."""

    async def all_are_refused(traffic: Traffic) -> None:
        before = [len(speaker.refusals) for speaker in traffic.speakers]

        def are_refused() -> bool:
            return all(len(s.refusals) > count for s, count in zip(traffic.speakers, before, strict=True))

        await run.wait_for("all are refused", are_refused, 10)

    async with run.traffic() as traffic:
        await _stop_and_kill(run, f"rabbitmq-{restarted}", f"rabbitmq-{killed}")
        await all_are_refused(traffic)
        await _return(run, traffic)


async def mongodb_members_away(run: FaultRun) -> None:
    """Kill the primary while a secondary restarts: sends are accepted, and wait for a majority."""
    numbers = [number_of(run, each) for each in ((await secondaries(run))[0], await primary(run))]
    restarted, killed = (f"mongodb-{number}" for number in numbers)
    async with run.traffic() as traffic:
        await _stop_and_kill(run, restarted, killed)
        await traffic.wait_for_accepted()
        await _return(run, traffic)


async def redis_away(run: FaultRun) -> None:
    """Kill the master while its replica restarts: sends are stored, and received once one is back."""
    number = number_of(run, (await redis_master(run))[0])
    async with run.traffic() as traffic:
        await _stop_and_kill(run, f"redis-{3 - number}", f"redis-{number}")
        await traffic.wait_for_accepted()
        await _return(run, traffic)


async def rabbitmq_restarted(run: FaultRun) -> None:
    await _restart_each(run, [f"rabbitmq-{host.number}" for host in run.stack.hosts])


async def mongodb_restarted(run: FaultRun) -> None:
    """Restart the secondaries, then the primary, as MongoDB's manual has it."""
    order = [*await secondaries(run), await primary(run)]
    await _restart_each(run, [f"mongodb-{number_of(run, address)}" for address in order])


async def redis_restarted(run: FaultRun) -> None:
    """Restart the replica, the sentinels, and the master."""
    number = number_of(run, (await redis_master(run))[0])
    sentinels = [f"sentinel-{host.number}" for host in run.stack.hosts]
    await _restart_each(run, [f"redis-{3 - number}", *sentinels, f"redis-{number}"])


async def hosts_restarted(run: FaultRun) -> None:
    """Restart all of each host, once the one before is as it was."""
    names = {part.name for part in await in_thread(run.stack.status)}
    async with run.traffic() as traffic:
        for host in run.stack.hosts:
            for kind in KINDS:
                if host.part(kind) in names:
                    await in_thread(run.stack.stop, host.part(kind))
            run.report(f"all of host {host.number} is stopped")
            await in_thread(run.stack.up)
            await run.wait_for_recovery(traffic)


async def _restart_each(run: FaultRun, parts: Sequence[str]) -> None:
    async with run.traffic() as traffic:
        for part in parts:
            await in_thread(run.stack.stop, part)
            await in_thread(run.stack.start, part)
            run.report(f"{part} is restarted")
            await run.wait_for_recovery(traffic)


async def _stop_and_kill(run: FaultRun, stopped: str, killed: str) -> None:
    """Stop a server, and kill another one before the first is started again."""
    await in_thread(run.stack.stop, stopped)
    await in_thread(run.stack.kill, killed)
    run.report(f"{killed} is killed while {stopped} restarts")


async def _return(run: FaultRun, traffic: Traffic) -> None:
    """Start both again: a node of RabbitMQ waits for the one that was in the cluster last."""
    await asyncio.sleep(AWAY_SECONDS)
    await in_thread(run.stack.up)
    await run.wait_for_recovery(traffic)
