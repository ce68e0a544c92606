"""RabbitMQ, Redis and MongoDB: stopped, killed, slow, or their connections closed."""

import asyncio
import signal
from collections.abc import Sequence
from functools import partial
from urllib.parse import urlsplit

from redis.asyncio import Redis

from clients.chat import eventually
from clients.chatter import Stopwatch
from clients.ledger import how_many
from clients.proxy import Proxy
from faults.rows.gateways import expect_online
from faults.traffic import LISTENER, SPEAKERS, Traffic
from faults.trial import Trial, do
from parley.stack.readiness import amqp_answers

AWAY_SECONDS = 4.0
UNAVAILABLE_SECONDS = 5.0
NO_DISK, ENOUGH_DISK = "1000000GB", "200MB"
DELAY_SECONDS = 0.2
SLOW_SECONDS = 10.0
NOT_READY_SECONDS = 5.0
STARTED_SECONDS = 20.0
SERVICES = ("gateway-1", "gateway-2", "worker-1", "worker-2")


async def rabbitmq_stopped(trial: Trial) -> None:
    """Its application, as RabbitMQ's own tool does it."""
    async with trial.traffic() as traffic:
        await do(trial.stack.rabbitmqctl, "stop_app")
        try:
            await trial.sees("all are refused", lambda: all(s.refused for s in traffic.speakers), 5)
            await reading_goes_on(trial, traffic)
            await asyncio.sleep(AWAY_SECONDS)
        finally:
            await do(trial.stack.rabbitmqctl, "start_app")
        await trial.recovers(traffic)


async def reading_goes_on(trial: Trial, traffic: Traffic) -> None:
    group = traffic.groups[0]
    assert await trial.town.user(LISTENER).history(group), "the history is empty"
    synced = await traffic.ears[0].ask("sync", {"conversations": {group: 0}})
    assert synced["success"], synced


async def rabbitmq_alarmed(trial: Trial) -> None:
    """It reads no more of whoever publishes, as when its memory or its disk are full."""
    async with trial.traffic() as traffic:
        await do(trial.stack.rabbitmqctl, "set_disk_free_limit", NO_DISK)
        try:
            await trial.sees("all are refused", lambda: all(s.refused for s in traffic.speakers), 5)
            await reading_goes_on(trial, traffic)
            await asyncio.sleep(AWAY_SECONDS)
        finally:
            await do(trial.stack.rabbitmqctl, "set_disk_free_limit", ENOUGH_DISK)
        await trial.recovers(traffic)


async def rabbitmq_connections_closed(trial: Trial) -> None:
    async with trial.traffic() as traffic:
        await do(trial.stack.rabbitmqctl, "close_all_connections", "a fault")
        await trial.recovers(traffic)


async def rabbitmq_killed(trial: Trial) -> None:
    async with trial.traffic() as traffic:
        ready = amqp_answers(urlsplit(trial.stack.rabbitmq_url).port or 0)
        for _ in range(2):
            before = [len(speaker.refused) for speaker in traffic.speakers]
            trial.stack.signal("rabbitmq", signal.SIGKILL)
            await trial.sees("all are refused", partial(are_refused, traffic, before), 5)
            await trial.sees("RabbitMQ answers", lambda: do(ready), STARTED_SECONDS)
            await trial.recovers(traffic)


def are_refused(traffic: Traffic, before: Sequence[int]) -> bool:
    """Whether each speaker was since these counts."""
    return all(len(s.refused) > count for s, count in zip(traffic.speakers, before, strict=True))


async def redis_connections_closed(trial: Trial) -> None:
    async with trial.traffic() as traffic:
        async with Redis.from_url(trial.stack.redis_url) as redis:
            closed = [await redis.client_kill_filter(_type=kind) for kind in ("pubsub", "normal")]
        trial.say(f"{sum(closed)} connections closed")
        await trial.recovers(traffic)


async def redis_restarted(trial: Trial) -> None:
    async def none_is_ready() -> bool:
        return not any(await trial.are_ready())

    async with trial.traffic() as traffic:
        passer = await traffic.visit(trial.stack.gateway_urls[0])
        watcher = traffic.ears[-1]
        await eventually(lambda: watcher.status.get(passer.user_id) == "online")
        await do(trial.stack.kill, "redis")
        await passer.close()
        await trial.sees("no gateway is ready", none_is_ready, NOT_READY_SECONDS)
        accepted = len(traffic.accepted)

        async def stored() -> bool:
            return await how_many(trial.database, *traffic.groups) >= accepted

        await trial.sees("what was accepted meanwhile is stored", stored, 5)
        await do(trial.stack.start, "redis")
        await trial.recovers(traffic)
        # They were told that they are online; only a word takes that back.
        await eventually(lambda: watcher.status[passer.user_id] == "offline")
        await expect_online(trial, traffic, watcher)


async def mongodb_killed(trial: Trial, *, away: float) -> None:
    async with trial.traffic() as traffic:
        traffic.chatter.pause = 0.2
        await do(trial.stack.kill, "mongodb")
        watch, before = Stopwatch(), len(traffic.accepted)
        path, asked = f"/chats/conversations/{traffic.groups[0]}/messages", Stopwatch()
        status, body = await trial.town.user(SPEAKERS[0]).rest("GET", path)
        trial.expect(status == 503 and body["error"]["retryable"], f"REST answered {status}: {body}")
        trial.expect(asked.seconds < UNAVAILABLE_SECONDS, f"REST answered after {asked.seconds:.1f} s")
        while (left := away - watch.seconds) > 0:
            trial.say(f"{len(traffic.accepted) - before} messages wait")
            await asyncio.sleep(min(left, 10))
        await do(trial.stack.start, "mongodb")
        waiting = len(traffic.accepted) - before
        await trial.recovers(traffic)
        trial.expect(waiting > 100, f"only {waiting} messages were accepted meanwhile")


async def mongodb_slow(trial: Trial) -> None:
    with Proxy(trial.stack.mongo_url) as proxy:
        late = {name: {"MONGO_URL": proxy.url} for name in SERVICES}
        async with trial.told(late), trial.traffic() as traffic:
            proxy.slow(DELAY_SECONDS)
            await asyncio.sleep(SLOW_SECONDS)
            proxy.slow(0)
            await trial.recovers(traffic)
