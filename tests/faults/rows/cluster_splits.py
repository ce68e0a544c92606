"""A host no longer reaches the others, and its side goes on with what it had."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from clients.chat import User, eventually
from clients.invariants import how_many
from clients.proxy import Proxy
from clients.stacks import PARTITIONS
from faults.fault_run import FaultRun, in_thread
from faults.rows.cluster import AWAY_SECONDS
from faults.rows.cluster_members import number_of, primary, redis_master
from faults.rows.gateways import GRACE_SECONDS, LEASE_SECONDS, expect_online
from faults.traffic import LATER_MEMBER, Traffic

REPLACED_SECONDS = 30.0
LAST_SECONDS = 2.5
"""Seconds of Redis' writes that no replica has; less than the sentinels take to elect another master."""


async def two_owners(run: FaultRun) -> None:
    """Cut a worker off from the other hosts but not from MongoDB, with its writes on their way.

    The others take its partitions and store new messages; then the writes of the former owner arrive.
    """
    number = await _bystander(run)
    others = [host.number for host in run.stack.hosts if host.number != number]
    member = await _primary_url(run)

    async def all_taken() -> bool:
        return sum([await run.shares.of(other) for other in others]) == PARTITIONS.count

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


async def redis_failed_over_with_losses(run: FaultRun) -> None:
    """Keep the last seconds of Redis' master from its replica, and kill the master.

    The users come and go at the third host, which reaches both.
    """
    async with run.traffic() as traffic:
        master = number_of(run, (await redis_master(run))[0])
        replica = 3 - master
        leaver, watcher = await traffic.connect_absent(run.stack.gateway_urls[2]), traffic.listeners[-1]
        await eventually(lambda: watcher.status.get(leaver.user_id) == "online")
        token_id = uuid.uuid4().hex
        revoked = run.users.user("revoked", jti=token_id)
        async with _cut_off(run, master, [replica]):
            await leaver.close()
            comer = await traffic.connect_absent(run.stack.gateway_urls[2], LATER_MEMBER)
            await _revoke(run, token_id)
            await asyncio.sleep(LAST_SECONDS)
            await in_thread(run.stack.kill, f"redis-{master}")
        await run.wait_for_recovery(traffic)
        run.expect(watcher.status[comer.user_id] == "online", "a user who came is not online")
        await run.wait_for(
            "the user who left is offline",
            lambda: watcher.status[leaver.user_id] == "offline",
            LEASE_SECONDS + GRACE_SECONDS,
        )
        await expect_online(run, traffic, watcher, comer)
        status, _ = await revoked.rest("GET", "/chats/conversations")
        run.expect(status == 401, f"a token that was revoked is answered {status}")
        await asyncio.sleep(AWAY_SECONDS)
        await in_thread(run.stack.start, f"redis-{master}")
        await run.wait_for_recovery(traffic)


async def _revoke(run: FaultRun, token_id: str) -> None:
    admin = User(run.stack.gateway_urls[2], run.stack.jwt_secret, "admin", role="admin")
    status, answer = await admin.rest("POST", "/admin/revoke", {"jti": token_id})
    await admin.close()
    assert status == 200, answer


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
