"""The bus: Redis pub/sub on one connection, with confirmed subscriptions and an ear of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.core.errors import Unavailable
from shared import events, rooms
from shared.events import Event, Heartbeat
from shared.metrics import bus_failures

log = structlog.get_logger()

BEAT_SECONDS = 1.0
DEAF_SECONDS = 4.0
CONFIRM_SECONDS = 2.0
RECONNECT_SECONDS = 0.2

OnMessage = Callable[[str, bytes], None]
OnRestored = Callable[[], Awaitable[None]]


def connect(url: str) -> "Redis":
    """A client whose commands wait for a free connection, and fail within seconds when Redis is away."""
    # One retry at once: after a restart of Redis every pooled connection is stale.
    return Redis.from_pool(_pool(url, retries=1))


def _pool(url: str, retries: int) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(
        url,
        max_connections=32,
        timeout=2,
        socket_timeout=2,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), retries),
    )


class Bus:
    """Publishes to channels and hears those subscribed to, across losses of the connection."""

    def __init__(self, url: str, node: str) -> None:
        self._redis = connect(url)
        # No retry here: a connection that was replaced without our knowing would hide what it lost.
        self._ear = Redis.from_pool(_pool(url, retries=0))
        self._own = rooms.channel(rooms.node(node))
        self._wanted: set[str] = {self._own, rooms.channel(rooms.everyone())}
        self._confirmed: set[str] = set()
        self._waiters: dict[str, asyncio.Future[None]] = {}
        self._pubsub: Any = None
        self._heard = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._lost = False
        self.on_message: OnMessage = lambda _channel, _body: None
        self.on_restored: OnRestored = _nothing

    @property
    def deaf(self) -> bool:
        """Whether the node has not heard its own heartbeat for too long."""
        return monotonic() - self._heard > DEAF_SECONDS

    def start(self) -> None:
        """Begin to listen and to beat."""
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._beat())]

    async def stop(self) -> None:
        """Listen no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._ear.aclose()
        await self._redis.aclose()

    def beat_heard(self) -> None:
        """Our own heartbeat came back."""
        self._heard = monotonic()

    async def subscribe(self, channels: Iterable[str]) -> None:
        """Hear these channels; returns when Redis has confirmed all of them.

        Raises:
            Unavailable: it did not in time. They stay wanted: `unsubscribe` what is not.
        """
        missing = [c for c in channels if c not in self._confirmed]
        if not missing:
            return
        fresh = [c for c in missing if c not in self._wanted]
        self._wanted.update(missing)
        waiters = [self._waiter(c) for c in missing]
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                if fresh and self._pubsub is not None:
                    await self._pubsub.subscribe(*fresh)
                await asyncio.gather(*(asyncio.shield(w) for w in waiters))
        except (TimeoutError, RedisError, OSError) as error:
            bus_failures.labels("subscribe").inc()
            raise Unavailable("The live stream is away; try again.") from error

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        """Hear these channels no more."""
        self._wanted.difference_update(channels)
        self._confirmed.difference_update(channels)
        if self._pubsub is not None and channels:
            try:
                await self._pubsub.unsubscribe(*channels)
            except (RedisError, OSError):
                bus_failures.labels("unsubscribe").inc()

    async def publish(self, bodies: Mapping[str, bytes]) -> None:
        """Publish a body on each channel, in one round trip.

        Raises:
            Unavailable: Redis did not take it.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for channel, body in bodies.items():
            pipeline.publish(channel, body)
        try:
            await pipeline.execute()
        except (RedisError, OSError) as error:
            bus_failures.labels("publish").inc()
            raise Unavailable("The live stream is away; try again.") from error

    async def announce(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        """`Announcer`: what cannot be published is counted, for it is stored already or may be lost."""
        try:
            await self.publish({rooms.channel(room): events.pack(e) for room, e in events_by_room.items()})
        except Unavailable:
            log.warning("announcing failed", rooms=len(events_by_room))

    def _waiter(self, channel: str) -> "asyncio.Future[None]":
        waiter = self._waiters.get(channel)
        if waiter is None:
            waiter = self._waiters[channel] = asyncio.get_running_loop().create_future()
        return waiter

    async def _listen(self) -> None:
        while True:
            try:
                await self._session()
            except (RedisError, OSError, TimeoutError) as error:
                bus_failures.labels("listen").inc()
                log.warning("lost the bus", error=repr(error))
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _session(self) -> None:
        self._confirmed.clear()
        async with self._ear.pubsub() as pubsub:
            awaited = set(self._wanted)
            await pubsub.subscribe(*awaited)
            self._pubsub = pubsub
            late = self._wanted - awaited
            if late:
                await pubsub.subscribe(*late)
            self._heard = monotonic()
            try:
                while not self.deaf:
                    message = await pubsub.get_message(timeout=BEAT_SECONDS)
                    if message is not None:
                        self._take(message, awaited)
            finally:
                self._pubsub = None
                self._lost = True
        raise TimeoutError("the bus is deaf")

    def _take(self, message: dict[str, Any], awaited: set[str]) -> None:
        channel = message["channel"].decode()
        if message["type"] == "message":
            self.on_message(channel, message["data"])
        elif message["type"] == "subscribe" and channel in self._wanted:
            self._confirm(channel)
            awaited.discard(channel)
            if not awaited and self._lost:
                self._lost = False
                self._tasks.append(asyncio.create_task(self._restore()))

    def _confirm(self, channel: str) -> None:
        self._confirmed.add(channel)
        waiter = self._waiters.pop(channel, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _restore(self) -> None:
        log.info("the bus is back", channels=len(self._confirmed))
        await self.on_restored()

    async def _beat(self) -> None:
        count = 0
        while True:
            count += 1
            try:
                await self.publish({self._own: events.pack([Heartbeat(count=count)])})
            except Unavailable:
                log.debug("a heartbeat was lost")
            await asyncio.sleep(BEAT_SECONDS)


async def _nothing() -> None:
    """There is nobody to tell."""
