"""Faults of RabbitMQ, Redis and MongoDB that last until an operator acts, held until their alerts fire."""

import asyncio
import shutil
from pathlib import Path

from redis.asyncio import Redis

from clients.proxy import Proxy
from faults.fault_run import FaultRun, in_thread
from faults.rows.cluster_disks import mount_small_disk, unmount_small_disk
from faults.rows.held import MARGIN, MINUTE, calm_traffic
from faults.rows.servers import ENOUGH_DISK, NO_DISK


async def rabbitmq_away(run: FaultRun) -> None:
    async with calm_traffic(run) as traffic:
        await in_thread(run.stack.rabbitmqctl, "stop_app")
        try:
            await asyncio.sleep(MINUTE + MARGIN)
        finally:
            await in_thread(run.stack.rabbitmqctl, "start_app")
        await run.wait_for_recovery(traffic)


async def rabbitmq_full(run: FaultRun) -> None:
    async with calm_traffic(run) as traffic:
        await in_thread(run.stack.rabbitmqctl, "set_disk_free_limit", NO_DISK)
        try:
            await asyncio.sleep(1.5 * MINUTE + MARGIN)
        finally:
            await in_thread(run.stack.rabbitmqctl, "set_disk_free_limit", ENOUGH_DISK)
        await run.wait_for_recovery(traffic)


async def redis_away(run: FaultRun) -> None:
    async with calm_traffic(run) as traffic:
        await in_thread(run.stack.kill, "redis")
        try:
            await asyncio.sleep(MINUTE + MARGIN)
        finally:
            await in_thread(run.stack.start, "redis")
        await run.wait_for_recovery(traffic)


async def gateway_without_redis(run: FaultRun) -> None:
    """Block all traffic between a gateway and Redis, without closing a connection."""
    with Proxy(run.stack.redis_url) as proxy:
        async with run.with_settings({"gateway-1": {"REDIS_URL": proxy.url}}), calm_traffic(run) as traffic:
            proxy.block()
            try:
                await asyncio.sleep(MINUTE + MARGIN)
            finally:
                proxy.unblock()
            await run.wait_for_recovery(traffic)


async def redis_full(run: FaultRun) -> None:
    """Leave Redis no memory: it refuses writes, and still publishes."""
    async with calm_traffic(run) as traffic, Redis.from_url(run.stack.redis_url) as redis:
        await redis.config_set("maxmemory", "1")
        try:
            await asyncio.sleep(1.5 * MINUTE + MARGIN)
        finally:
            await redis.config_set("maxmemory", "0")
        await run.wait_for_recovery(traffic)


async def redis_cuts_off(run: FaultRun, period: float = 15.0) -> None:
    """Have Redis close the gateways' subscriptions again and again."""
    async with calm_traffic(run) as traffic, Redis.from_url(run.stack.redis_url) as redis:
        for _ in range(int((3 * MINUTE + MARGIN) / period) + 1):
            await redis.client_kill_filter(_type="pubsub")
            await asyncio.sleep(period)
        await run.wait_for_recovery(traffic)


async def mongodb_away(run: FaultRun) -> None:
    async with calm_traffic(run) as traffic:
        await in_thread(run.stack.kill, "mongodb")
        try:
            await asyncio.sleep(MINUTE + MARGIN)
        finally:
            await in_thread(run.stack.start, "mongodb")
        await run.wait_for_recovery(traffic)


async def disk_slow(run: FaultRun, blocked: float = 3.0, open_for: float = 1.0) -> None:
    """Have MongoDB write for a second in four only, as with a disk that cannot keep up."""
    admin = run.database.client.admin
    async with calm_traffic(run) as traffic:
        for _ in range(int((2 * MINUTE + MARGIN) / (blocked + open_for)) + 1):
            await admin.command("fsync", lock=True)
            await asyncio.sleep(blocked)
            await admin.command("fsyncUnlock")
            await asyncio.sleep(open_for)
        await run.wait_for_recovery(traffic)


async def disk_filling(run: FaultRun, left: float = 0.07) -> None:
    """Have MongoDB keep its data on a small disk, and fill it up to 7 %."""
    directory = run.stack.directory / "data/mongodb"
    aside = directory.with_name("mongodb-aside")
    await in_thread(run.stack.stop, "mongodb")
    await in_thread(directory.rename, aside)
    try:
        await in_thread(mount_small_disk, aside, directory)
        try:
            await in_thread(run.stack.start, "mongodb")
            async with calm_traffic(run) as traffic:
                await in_thread(_fill, directory, left)
                await asyncio.sleep(MINUTE + 2 * MARGIN)
                (directory / "filler").unlink()
                await run.wait_for_recovery(traffic)
        finally:
            await in_thread(run.stack.stop, "mongodb")
            await in_thread(unmount_small_disk, directory)
    finally:
        await in_thread(aside.rename, directory)
        await in_thread(run.stack.start, "mongodb")


def _fill(directory: Path, left: float) -> None:
    disk = shutil.disk_usage(directory)
    (directory / "filler").write_bytes(bytes(max(0, int(disk.free - left * disk.total))))
