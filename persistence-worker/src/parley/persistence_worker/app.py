"""Composes the worker and runs it until it is stopped."""

import asyncio
import gc
from contextlib import AsyncExitStack
from functools import partial

import structlog
from aio_pika.abc import AbstractConnection
from aiohttp import web

from parley.persistence_worker import store_mongo
from parley.persistence_worker.attachment_references import AttachedMessages
from parley.persistence_worker.attachment_references_mongo import MongoAttachmentReferences
from parley.persistence_worker.consume import Consumer, Limits
from parley.persistence_worker.database_probe import DatabaseProbe
from parley.persistence_worker.events_redis import RedisEventPublisher
from parley.persistence_worker.group_commit import GroupCommit, Persists
from parley.persistence_worker.ownership import Fix, Ownership
from parley.persistence_worker.partitions.follower import LayoutFollower, MakeOwnership
from parley.persistence_worker.partitions.mover import Mover
from parley.persistence_worker.persist import Persister
from parley.persistence_worker.ports import EventPublisher
from parley.persistence_worker.primary_connection import PrimaryConnection
from parley.persistence_worker.search.index_mongo import MongoSearchIndex
from parley.persistence_worker.search.indexer import Indexer, NotingPersister
from parley.persistence_worker.settings import Settings
from parley.persistence_worker.traced_batches import TracedEventPublisher, TracedPersister
from parley.persistence_worker.whole_batches_mongo import MongoWholeBatches
from parley.shared import amqp, health, metrics, migrations, mongo, redis
from parley.shared.cancellation import end
from parley.shared.http_server import AppRunner, json_errors, measure
from parley.shared.layouts import Layouts
from parley.shared.partitions import Partitions
from parley.shared.reloading import Reloads
from parley.shared.restoration import stop_when_restored
from parley.shared.tracing import Tracer, open_tracer

log = structlog.get_logger()

HEARTBEAT_SECONDS = 4
"""RabbitMQ releases the partitions of a frozen worker after about two of these."""
STOP_SECONDS = 5.0
"""Time to finish the batches in flight when the worker stops; unfinished ones are redelivered."""


async def run(settings: Settings, stopped: asyncio.Event, _reloads: Reloads[Settings]) -> None:
    """Work until `stopped` is set; then finish the batches in flight and release the partitions."""
    async with AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(open_tracer(settings, "parley-worker", settings.worker_name))
        database = await stack.enter_async_context(
            mongo.connect(
                settings.mongo_url,
                service=f"worker {settings.worker_name}",
                # The consumer retries a batch itself, until it is told to stop.
                retryReads=False,
                retryWrites=False,
            )
        )
        await stack.enter_async_context(stop_when_restored(database, stopped))
        publisher = RedisEventPublisher(settings.redis_url)
        stack.push_async_callback(publisher.close)
        watched_redis = redis.connect(settings.redis_url, connections=4)
        stack.push_async_callback(watched_redis.aclose)
        probe = DatabaseProbe(partial(mongo.answers, database))
        primary = PrimaryConnection(database)
        stack.callback(primary.close)
        layouts = Layouts(database)
        indexer = Indexer(MongoSearchIndex(database), lambda each: follower.holds(each))
        make_ownership = _ownerships(settings, primary, publisher, probe, indexer, tracer)
        follower = LayoutFollower(
            layouts,
            Partitions.first(settings.partitions),
            make_ownership,
            Mover(partial(_connect, settings), layouts, watched_redis),
        )
        await _serve_health(settings, database, follower, stopped, stack)
        await migrations.prepare(database, stopped)
        follower.begin_with(await layouts.check(settings, stopped, name=f"worker {settings.worker_name}"))
        # A collection of all objects would stall the batches for tens of ms: exclude those of the start.
        gc.freeze()
        watch = asyncio.create_task(probe.watch())
        index = asyncio.create_task(indexer.run())
        work = asyncio.create_task(follower.run())
        stop = asyncio.create_task(stopped.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        watch.cancel()
        follower.stop()
        await _end(work)
        await end([index])
    log.info("worker.stopped")


async def _end(work: "asyncio.Task[None]") -> None:
    _, unfinished = await asyncio.wait({work}, timeout=STOP_SECONDS)
    if unfinished:
        log.warning("worker.shutdown.timeout", seconds=STOP_SECONDS)
        await end([work])
    else:
        work.result()


async def _connect(settings: Settings) -> AbstractConnection:
    return await amqp.connect(
        settings.rabbitmq_url, name=f"worker {settings.worker_name}", heartbeat=HEARTBEAT_SECONDS
    )


def _ownerships(
    settings: Settings,
    primary: PrimaryConnection,
    redis_publisher: EventPublisher,
    probe: DatabaseProbe,
    indexer: Indexer,
    tracer: Tracer | None,
) -> MakeOwnership:
    event_publisher: EventPublisher = redis_publisher
    if tracer is not None:
        event_publisher = TracedEventPublisher(redis_publisher, tracer)
    persister = Persister(
        AttachedMessages(store_mongo.MongoMessages(primary), MongoAttachmentReferences(primary.database)),
        store_mongo.MongoHeads(primary),
        store_mongo.MongoMemberships(primary),
        event_publisher,
        MongoWholeBatches(primary),
    )
    attempts = store_mongo.MongoAttempts(primary.database)
    limits = Limits(settings.batch_limit, settings.prefetch)
    noting: Persists = NotingPersister(persister, indexer)
    group = GroupCommit(noting if tracer is None else TracedPersister(noting, tracer), settings.batch_limit)

    def make_ownership(partitions: Partitions, fix: Fix) -> Ownership:
        def make_consumer(partition: int) -> Consumer:
            indexer.look()
            return Consumer(partition, group, event_publisher, attempts, limits, group.turn, partitions.epoch)

        return Ownership(
            partial(_connect, settings), partitions, make_consumer, is_able=probe.is_reachable, fix=fix
        )

    return make_ownership


async def _serve_health(
    settings: Settings,
    database: object,
    follower: LayoutFollower,
    stopped: asyncio.Event,
    stack: AsyncExitStack,
) -> None:
    async def problems() -> list[str]:
        if stopped.is_set():
            # A ping of a database that does not answer would delay the end of the process.
            return ["it is stopping"]
        found = [] if follower.settled else ["not connected to RabbitMQ"]
        database_answers = await mongo.answers(database)
        metrics.database_connected.set(database_answers)
        if not database_answers:
            found.append("MongoDB does not answer")
        return found

    app = web.Application(middlewares=[measure, json_errors])
    health.add_routes(app, problems)
    runner = AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, settings.worker_host, settings.worker_port).start()
