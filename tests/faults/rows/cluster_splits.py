"""A host no longer reaches the others, and its side goes on with what it had."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from clients.chat import eventually
from clients.invariants import how_many
from clients.proxy import Proxy
from clients.workers import PARTITIONS
from faults.fault_run import FaultRun, in_thread
from faults.rows.cluster import number_of, primary, redis_master
from faults.traffic import Traffic

REPLACED_SECONDS = 30.0


async def two_owners(run: FaultRun) -> None:
    """Cut a worker off from the other hosts but not from MongoDB, with its writes on their way.

    The others take its partitions and store new messages; then the writes of the former owner arrive.
    """
    number = await _bystander(run)
    others = [host.number for host in run.stack.hosts if host.number != number]
    member = await _primary_url(run)

    async def all_taken() -> bool:
        return sum([await run.shares.of(other) for other in others]) == PARTITIONS

    with Proxy(member, address=run.stack.address) as proxy:
        overrides = {f"worker-{number}": {"MONGO_URL": proxy.url}}
        async with run.with_settings(overrides), run.traffic() as traffic:
            traffic.load.pause = 0.0
            await traffic.wait_for_accepted(200)
            proxy.block()
            await traffic.wait_for_accepted(200)
            async with _cut_off(run, number, others):
                traffic.load.pause = 0.06
                await run.wait_for("the others own all partitions", all_taken, REPLACED_SECONDS)
                run.report(f"worker-{number} itself holds {await run.shares.of(number)} at this time")
                await _wait_for_stored(run, traffic)
                run.report(f"{proxy.held} bytes of the former owner arrive at MongoDB")
                run.expect(proxy.held > 0, "the former owner was not writing")
                proxy.unblock()
                await _wait_for_stored(run, traffic)
            await run.wait_for_recovery(traffic)


@asynccontextmanager
async def _cut_off(run: FaultRun, number: int, others: list[int]) -> AsyncIterator[None]:
    for other in others:
        await in_thread(run.stack.separate, number, other)
    try:
        yield
    finally:
        for other in others:
            await in_thread(run.stack.unite, number, other)


async def _wait_for_stored(run: FaultRun, traffic: Traffic, count: int = 100) -> None:
    """Wait until this many more messages are stored."""
    enough = await how_many(run.database, *traffic.groups) + count

    async def are_stored() -> bool:
        return await how_many(run.database, *traffic.groups) >= enough

    await eventually(are_stored)


async def _bystander(run: FaultRun) -> int:
    """Return a host with neither the primary of MongoDB nor the master of Redis."""
    busy = {number_of(run, await primary(run)), number_of(run, (await redis_master(run))[0])}
    return max({host.number for host in run.stack.hosts} - busy)


async def _primary_url(run: FaultRun) -> str:
    """Return a URL of the set's primary alone."""
    hello = await run.database.client.admin.command("hello")
    return f"mongodb://{hello['primary']}/parley?directConnection=true"
