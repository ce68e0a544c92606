"""RabbitMQ, Redis and MongoDB are stopped, killed or slow, or their connections are closed."""

import asyncio
import signal
from collections.abc import Sequence
from functools import partial
from urllib.parse import urlsplit

from redis.asyncio import Redis

from clients.chat import eventually
from clients.invariants import how_many
from clients.load_generator import Stopwatch
from clients.proxy import Proxy
from faults.fault_run import FaultRun, in_thread
from faults.rows.gateways import expect_online
from faults.traffic import LISTENER, SPEAKERS, Traffic
from parley.stack.readiness import amqp_answers

AWAY_SECONDS = 4.0
UNAVAILABLE_SECONDS = 5.0
NO_DISK, ENOUGH_DISK = "1000000GB", "200MB"
DELAY_SECONDS = 0.2
SLOW_SECONDS = 10.0
NOT_READY_SECONDS = 5.0
STARTED_SECONDS = 20.0
SERVICES = ("gateway-1", "gateway-2", "worker-1", "worker-2")


async def rabbitmq_stopped(run: FaultRun) -> None:
    """Stop the RabbitMQ application by RabbitMQ's own tool."""
    async with run.traffic() as traffic:
        await in_thread(run.stack.rabbitmqctl, "stop_app")
        try:
            await run.wait_for("all are refused", lambda: all(s.refusals for s in traffic.speakers), 5)
            await assert_reads_work(run, traffic)
            await asyncio.sleep(AWAY_SECONDS)
        finally:
            await in_thread(run.stack.rabbitmqctl, "start_app")
        await run.wait_for_recovery(traffic)


async def assert_reads_work(run: FaultRun, traffic: Traffic) -> None:
    group = traffic.groups[0]
    assert await run.users.user(LISTENER).history(group), "the history is empty"
    synced = await traffic.listeners[0].call("sync", {"conversations": {group: 0}})
    assert synced["success"], synced


async def rabbitmq_alarmed(run: FaultRun, host: int = 1) -> None:
    """Raise the disk alarm: RabbitMQ stops reading from publishers, as when memory or disk are full."""
    async with run.traffic() as traffic:
        await in_thread(partial(run.stack.rabbitmqctl, "set_disk_free_limit", NO_DISK, host=host))
        try:
            await run.wait_for("all are refused", lambda: all(s.refusals for s in traffic.speakers), 5)
            await assert_reads_work(run, traffic)
            await asyncio.sleep(AWAY_SECONDS)
        finally:
            await in_thread(partial(run.stack.rabbitmqctl, "set_disk_free_limit", ENOUGH_DISK, host=host))
        await run.wait_for_recovery(traffic)


async def rabbitmq_connections_closed(run: FaultRun) -> None:
    async with run.traffic() as traffic:
        await in_thread(run.stack.rabbitmqctl, "close_all_connections", "a fault")
        await run.wait_for_recovery(traffic)


async def rabbitmq_killed(run: FaultRun) -> None:
    async with run.traffic() as traffic:
        ready = amqp_answers(urlsplit(run.stack.rabbitmq_url).port or 0)
        for _ in range(2):
            before = [len(speaker.refusals) for speaker in traffic.speakers]
            run.stack.signal("rabbitmq", signal.SIGKILL)
            await run.wait_for("all are refused", partial(are_refused, traffic, before), 5)
            await run.wait_for("RabbitMQ answers", lambda: in_thread(ready), STARTED_SECONDS)
            await run.wait_for_recovery(traffic)


def are_refused(traffic: Traffic, before: Sequence[int]) -> bool:
    """Return whether each speaker was refused since these counts."""
    return all(len(s.refusals) > count for s, count in zip(traffic.speakers, before, strict=True))


async def redis_connections_closed(run: FaultRun) -> None:
    async with run.traffic() as traffic:
        async with Redis.from_url(run.stack.redis_url) as redis:
            closed = [await redis.client_kill_filter(_type=kind) for kind in ("pubsub", "normal")]
        run.report(f"{sum(closed)} connections closed")
        await run.wait_for_recovery(traffic)


async def redis_restarted(run: FaultRun) -> None:
    async def none_is_ready() -> bool:
        return not any(await run.gateways_ready())

    async with run.traffic() as traffic:
        visitor = await traffic.connect_absent(run.stack.gateway_urls[0])
        watcher = traffic.listeners[-1]
        await eventually(lambda: watcher.status.get(visitor.user_id) == "online")
        await in_thread(run.stack.kill, "redis")
        await visitor.close()
        await run.wait_for("no gateway is ready", none_is_ready, NOT_READY_SECONDS)
        accepted = len(traffic.accepted)

        async def stored() -> bool:
            return await how_many(run.database, *traffic.groups) >= accepted

        await run.wait_for("what was accepted meanwhile is stored", stored, 5)
        await in_thread(run.stack.start, "redis")
        await run.wait_for_recovery(traffic)
        # The watcher believes that the user is online; only an event can correct that.
        await eventually(lambda: watcher.status[visitor.user_id] == "offline")
        await expect_online(run, traffic, watcher)


async def mongodb_killed(run: FaultRun, *, away: float) -> None:
    async with run.traffic() as traffic:
        traffic.load.pause = 0.2
        await in_thread(run.stack.kill, "mongodb")
        watch, before = Stopwatch(), len(traffic.accepted)
        path, request_watch = f"/chats/conversations/{traffic.groups[0]}/messages", Stopwatch()
        status, body = await run.users.user(SPEAKERS[0]).rest("GET", path)
        run.expect(status == 503 and body["error"]["retryable"], f"REST answered {status}: {body}")
        run.expect(
            request_watch.seconds < UNAVAILABLE_SECONDS, f"REST answered after {request_watch.seconds:.1f} s"
        )
        while (left := away - watch.seconds) > 0:
            run.report(f"{len(traffic.accepted) - before} messages wait")
            await asyncio.sleep(min(left, 10))
        await in_thread(run.stack.start, "mongodb")
        waiting = len(traffic.accepted) - before
        await run.wait_for_recovery(traffic)
        run.expect(waiting > 100, f"only {waiting} messages were accepted meanwhile")


async def mongodb_slow(run: FaultRun) -> None:
    with Proxy(run.stack.mongo_url) as proxy:
        overrides = {name: {"MONGO_URL": proxy.url} for name in SERVICES}
        async with run.with_settings(overrides), run.traffic() as traffic:
            proxy.delay(DELAY_SECONDS)
            await asyncio.sleep(SLOW_SECONDS)
            proxy.delay(0)
            await run.wait_for_recovery(traffic)
