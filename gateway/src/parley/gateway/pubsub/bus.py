"""The bus: Redis pub/sub on one connection, with confirmed subscriptions and an ear of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

import structlog

from parley.gateway.background import Background
from parley.gateway.core.errors import Unavailable
from parley.shared import events, rooms
from parley.shared.events import Event, Heartbeat
from parley.shared.metrics import bus_failures
from parley.shared.redis import FAULTS, connect

log = structlog.get_logger()

BEAT_SECONDS = 1.0
DEAF_SECONDS = 4.0
CONFIRM_SECONDS = 2.0
RECONNECT_SECONDS = 0.2
RESTORE_SECONDS = 0.5
MENTIONS_LIMIT = 2_000
AWAY = "The live stream is away; try again."

OnMessage = Callable[[str, bytes], None]
OnRestored = Callable[[], Awaitable[None]]


class Bus:
    """Publishes to channels and hears those subscribed to, across losses of the connection."""

    def __init__(self, url: str, node: str) -> None:
        self._redis = connect(url)
        # No retry here: a connection that was replaced without our knowing would hide what it lost.
        self._ear = connect(url, retries=0)
        self._own = rooms.channel(rooms.node(node))
        self._wanted: set[str] = {self._own, rooms.channel(rooms.everyone())}
        self._confirmed: set[str] = set()
        self._waiters: dict[str, asyncio.Future[None]] = {}
        self._pubsub: Any = None
        self._heard = 0.0
        self._beats = 0
        self._lost = False
        self._restoring = asyncio.Lock()
        self._mentions: dict[str, list[Event]] = {}
        self._background = Background()
        self.on_message: OnMessage = lambda _channel, _body: None
        self.on_restored: OnRestored = _nothing

    @property
    def deaf(self) -> bool:
        """Whether the node has not heard its own heartbeat for too long."""
        return monotonic() - self._heard > DEAF_SECONDS

    @property
    def channels(self) -> int:
        """How many are to be heard."""
        return len(self._wanted)

    def start(self) -> None:
        """Begin to listen and to beat."""
        self._background.spawn(self._listen())
        self._background.repeat(BEAT_SECONDS, self._beat)

    async def stop(self) -> None:
        """Listen no more."""
        await self._background.stop()
        await self._ear.aclose()
        await self._redis.aclose()

    def beat_heard(self) -> None:
        """Our own heartbeat came back."""
        self._heard = monotonic()

    async def subscribe(self, channels: Iterable[str]) -> None:
        """Hear these channels; returns when Redis has confirmed all of them.

        Raises:
            Unavailable: it did not in time. They stay wanted: `drop` what is not.
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
        except (TimeoutError, *FAULTS) as error:
            bus_failures.labels("subscribe").inc()
            raise Unavailable(AWAY) from error

    def drop(self, channels: Collection[str]) -> None:
        """Hear these channels no more; whoever wants one from now on has it subscribed anew."""
        self._wanted.difference_update(channels)
        self._confirmed.difference_update(channels)
        for channel in channels:
            self._waiters.pop(channel, None)
        self._background.spawn(self._unsubscribe(channels))

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
        except FAULTS as error:
            bus_failures.labels("publish").inc()
            raise Unavailable(AWAY) from error

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        """Publish events; what cannot be is counted, for it is stored, and found by audits."""
        try:
            await self.publish({rooms.channel(room): events.pack(e) for room, e in events_by_room.items()})
        except Unavailable:
            log.warning("announcing failed", rooms=len(events_by_room))

    def publish_best_effort(self, room: str, event: Event) -> None:
        """Publish an event soon, together with others; it may be lost, and is when there are too many."""
        if not self._mentions:
            self._background.spawn(self._say_mentions())
        if len(self._mentions) < MENTIONS_LIMIT:
            self._mentions.setdefault(room, []).append(event)

    async def _say_mentions(self) -> None:
        await asyncio.sleep(0)
        mentions, self._mentions = self._mentions, {}
        await self.publish_events(mentions)

    async def _unsubscribe(self, channels: Collection[str]) -> None:
        unwanted = [c for c in channels if c not in self._wanted]
        if self._pubsub is None or not unwanted:
            return
        try:
            await self._pubsub.unsubscribe(*unwanted)
        except FAULTS:
            bus_failures.labels("unsubscribe").inc()

    def _waiter(self, channel: str) -> "asyncio.Future[None]":
        waiter = self._waiters.get(channel)
        if waiter is None:
            waiter = self._waiters[channel] = asyncio.get_running_loop().create_future()
        return waiter

    async def _listen(self) -> None:
        while True:
            try:
                await self._session()
            except Exception as error:
                bus_failures.labels("listen").inc()
                log.warning("lost the bus", error=repr(error))
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _session(self) -> None:
        self._confirmed.clear()
        async with self._ear.pubsub() as pubsub:
            awaited = set(self._wanted)
            await pubsub.subscribe(*awaited)
            self._pubsub = pubsub
            self._heard = monotonic()
            try:
                late = self._wanted - awaited
                if late:
                    await pubsub.subscribe(*late)
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
            self._hear(channel, message["data"])
        elif message["type"] == "subscribe":
            self._confirm(channel)
            awaited.discard(channel)
            if not awaited and self._lost:
                self._lost = False
                self._background.spawn(self._restore())

    def _hear(self, channel: str, body: bytes) -> None:
        try:
            self.on_message(channel, body)
        except Exception:
            # One event that nobody foresaw must not make the node deaf for all others.
            bus_failures.labels("handle").inc()
            log.exception("an event could not be handled", channel=channel)

    def _confirm(self, channel: str) -> None:
        if channel not in self._wanted:
            return
        self._confirmed.add(channel)
        waiter = self._waiters.pop(channel, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _restore(self) -> None:
        log.info("the bus is back", channels=len(self._confirmed))
        async with self._restoring:
            while True:
                try:
                    await self.on_restored()
                    return
                except Exception as error:
                    log.warning("cannot catch up yet", error=repr(error))
                    await asyncio.sleep(RESTORE_SECONDS)

    async def _beat(self) -> None:
        self._beats += 1
        await self.publish({self._own: events.pack([Heartbeat(count=self._beats)])})


async def _nothing() -> None:
    """There is nobody to tell."""
