"""Faults of RabbitMQ, Redis and MongoDB that last until an operator acts, held until their alerts fire."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from clients.proxy import Proxy
from faults.fault_run import FaultRun, in_thread
from faults.rows.cluster_disks import mount_small_disk, unmount_small_disk
from faults.rows.held import MARGIN, MINUTE, calm_traffic
from faults.rows.servers import ENOUGH_DISK, NO_DISK


@asynccontextmanager
async def broken(run: FaultRun, repair: Callable[[], Awaitable[Any]], seconds: float) -> AsyncIterator[None]:
    """Break a server inside of the context; it is repaired after these seconds, and all is waited for."""
    async with calm_traffic(run) as traffic:
        try:
            yield
            await asyncio.sleep(seconds)
        finally:
            await repair()
        await run.wait_for_recovery(traffic)


async def rabbitmq_away(run: FaultRun) -> None:
    async with broken(run, lambda: in_thread(run.stack.rabbitmqctl, "start_app"), MINUTE + MARGIN):
        await in_thread(run.stack.rabbitmqctl, "stop_app")


async def rabbitmq_full(run: FaultRun) -> None:
    def repair() -> Awaitable[Any]:
        return in_thread(run.stack.rabbitmqctl, "set_disk_free_limit", ENOUGH_DISK)

    async with broken(run, repair, 1.5 * MINUTE + MARGIN):
        await in_thread(run.stack.rabbitmqctl, "set_disk_free_limit", NO_DISK)


async def redis_away(run: FaultRun) -> None:
    async with broken(run, lambda: in_thread(run.stack.start, "redis"), MINUTE + MARGIN):
        await in_thread(run.stack.kill, "redis")


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
    async with broken(run, lambda: in_thread(run.stack.start, "mongodb"), MINUTE + MARGIN):
        await in_thread(run.stack.kill, "mongodb")


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
