"""The bus: Redis pub/sub with confirmed subscriptions and a heartbeat, across losses of the connection."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic

import structlog

from parley.gateway import gauges
from parley.gateway.background import Background
from parley.gateway.core.errors import Unavailable
from parley.gateway.pubsub.confirmations import Confirmations
from parley.gateway.pubsub.pipelined_connection import PipelinedConnection, raise_first
from parley.gateway.pubsub.reply_reader import MESSAGES, SUBSCRIBED, Reply, ReplyReader
from parley.gateway.pubsub.resubscription import Resubscription
from parley.shared import events, rooms
from parley.shared.cancellation import end
from parley.shared.events import Event, Heartbeat
from parley.shared.metrics import bus_failures
from parley.shared.redis import FAULTS, connect

log = structlog.get_logger()

HEARTBEAT_SECONDS = 0.25
COUNT_SECONDS = 5.0
STALE_CHECK_SECONDS = 1.0
STALE_SECONDS, BEHIND_SECONDS = 4.0, 15.0
"""A node is stale when its own heartbeat has not come back for so long: the longer time holds while other
events come, because a new subscription would add a backfill to the work that the node is behind with."""
CONFIRM_SECONDS = 2.0
RECONNECT_SECONDS = 0.2
RESYNC_SECONDS = 0.5
UNRETURNED_HEARTBEATS = 64
TURN_SECONDS, TURN_SHARE, MAX_TURN_SECONDS = 0.005, 0.05, 0.015
"""Events are handled for so long before other callbacks of the event loop have their turn. A part of the
delay is added, up to the maximum: events of messages that were accepted go before new messages."""
FLOWING_SECONDS = 0.5
"""Redis is not away if something came from it in this time."""
BEST_EFFORT_LIMIT = 2_000
"""Rooms that best-effort events may wait for in one loop iteration."""
AWAY = "The live stream is away; try again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """The callbacks of the bus, given once, when it starts."""

    on_message: Callable[[str, bytes], Iterable[None]]
    """Handles the body of a publication on a channel: with each item that it yields, some events more."""
    on_reconnect: Callable[[], Awaitable[None]]
    """Makes up for what was lost, once all subscriptions are confirmed again. Repeated until it succeeds."""


class Bus:
    """Publishes to channels and receives from those subscribed to.

    The subscriber has a connection of its own, without retries: a connection that is replaced inside
    the client library would hide which publications were lost.
    """

    def __init__(self, url: str, node: str) -> None:
        self._redis = connect(url)
        self._commands = PipelinedConnection(self._redis)
        self._subscriber_redis = connect(url, retries=0)
        self._own_channel = rooms.channel(rooms.node(node))
        self._wanted: set[str] = {self._own_channel, rooms.channel(rooms.everyone())}
        self._confirmations = Confirmations()
        self._subscriber: Subscriber | None = None
        self._reader: ReplyReader | None = None
        self._received_at = 0.0
        self._heartbeats = 0
        self._beat_at: deque[tuple[int, float]] = deque(maxlen=UNRETURNED_HEARTBEATS)
        self._delay = 0.0
        self._flowed_at = 0.0
        self._turn_ends = 0.0
        self._session_timeout: asyncio.Timeout | None = None
        self._was_lost = False
        self._resync_lock = asyncio.Lock()
        self._best_effort: dict[str, list[Event]] = {}
        self._gateways = 1
        self._background = Background()

    @property
    def stale(self) -> bool:
        """Whether the node's own heartbeat has not come back for too long."""
        now = monotonic()
        flows = now - self._flowed_at < FLOWING_SECONDS
        return now - self._received_at > (BEHIND_SECONDS if flows else STALE_SECONDS)

    @property
    def channels(self) -> int:
        """The number of channels wanted."""
        return len(self._wanted)

    def start(self, subscriber: Subscriber) -> None:
        """Connect, deliver publications to a subscriber, and send heartbeats."""
        self._subscriber = subscriber
        self._background.spawn(self._listen(subscriber))
        self._background.repeat(HEARTBEAT_SECONDS, self._send_heartbeat)
        self._background.repeat(COUNT_SECONDS, self._count_gateways)
        self._background.repeat(STALE_CHECK_SECONDS, self._end_stale_session)

    async def stop(self) -> None:
        """Disconnect."""
        await self._background.stop()
        await self._commands.close()
        await self._subscriber_redis.aclose()
        await self._redis.aclose()

    @property
    def gateways(self) -> int:
        """The number of gateways, as it was a few seconds ago; at least this one."""
        return self._gateways

    async def _count_gateways(self) -> None:
        try:
            # Every gateway subscribes to this channel.
            ((_, count),) = await self._redis.pubsub_numsub(rooms.channel(rooms.everyone()))
        except FAULTS:
            return
        self._gateways = max(1, count)

    @property
    def delay(self) -> float:
        """Seconds from a publication to its handling here; 0 while the bus is stale.

        It is measured by heartbeats. One that is not back counts only while other events come: otherwise
        Redis is away, which is no overload.
        """
        if self.stale:
            return 0.0
        now = monotonic()
        if not self._beat_at or now - self._flowed_at > FLOWING_SECONDS:
            return self._delay
        return max(self._delay, now - self._beat_at[0][1])

    def heartbeat_received(self, count: int) -> None:
        """Note that this node's heartbeat of this number came back."""
        self._received_at = monotonic()
        while self._beat_at and self._beat_at[0][0] <= count:
            number, sent_at = self._beat_at.popleft()
            if number == count:
                self._delay = self._received_at - sent_at

    async def subscribe(self, channels: Iterable[str]) -> None:
        """Subscribe to channels; returns when Redis has confirmed all of them.

        Raises:
            Unavailable: Redis did not confirm within `CONFIRM_SECONDS`. The channels stay wanted, and are
                subscribed to after a reconnect, until `drop`.
        """
        missing = self._confirmations.missing(channels)
        if not missing:
            return
        fresh = missing - self._wanted
        self._wanted |= missing
        waiter = self._confirmations.begin(missing)
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                if fresh and self._reader is not None:
                    await self._reader.subscribe(*fresh)
                await waiter.done
        except (TimeoutError, *FAULTS) as error:
            bus_failures.labels("subscribe").inc()
            raise Unavailable(AWAY) from error
        finally:
            self._confirmations.end(waiter)

    def drop(self, channels: Collection[str]) -> None:
        """Unsubscribe from channels; a `subscribe` that follows waits for a new confirmation."""
        self._wanted.difference_update(channels)
        self._confirmations.drop(channels)
        self._background.spawn(self._unsubscribe(channels))

    async def publish(self, bodies: Mapping[str, bytes]) -> None:
        """Publish a body on each channel, in one round trip.

        Raises:
            Unavailable: Redis did not accept them.
        """
        try:
            replies = await self._commands.run([("PUBLISH", *each) for each in bodies.items()])
            raise_first(replies)
        except FAULTS as error:
            bus_failures.labels("publish").inc()
            raise Unavailable(AWAY) from error

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        """Publish events of what is stored. A failure is only logged: reconcilers find what was lost."""
        try:
            await self.publish({rooms.channel(room): events.pack(e) for room, e in events_by_room.items()})
        except Unavailable:
            log.warning("gateway.bus.publish_failed", rooms=len(events_by_room))

    def publish_best_effort(self, room: str, event: Event) -> None:
        """Publish an event with others of this loop iteration; it is lost when there are too many."""
        if not self._best_effort:
            self._background.spawn(self._flush_best_effort())
        if len(self._best_effort) < BEST_EFFORT_LIMIT:
            self._best_effort.setdefault(room, []).append(event)

    async def _flush_best_effort(self) -> None:
        await asyncio.sleep(0)
        gathered, self._best_effort = self._best_effort, {}
        await self.publish_events(gathered)

    async def _unsubscribe(self, channels: Collection[str]) -> None:
        unwanted = [c for c in channels if c not in self._wanted]
        if self._reader is None or not unwanted:
            return
        try:
            await self._reader.unsubscribe(*unwanted)
        except FAULTS:
            bus_failures.labels("unsubscribe").inc()

    async def _listen(self, subscriber: Subscriber) -> None:
        while True:
            try:
                await self._session(subscriber)
            except Exception as error:
                bus_failures.labels("listen").inc()
                log.warning("gateway.bus.lost", error=repr(error))
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _session(self, subscriber: Subscriber) -> None:
        self._confirmations.clear()
        async with self._subscriber_redis.pubsub() as pubsub:
            # Gateways of version 0.2.0 publish on a channel for each user who comes or goes.
            await pubsub.psubscribe(rooms.channel(rooms.presence("*")))
            self._reader = reader = ReplyReader(pubsub)
            gauges.bus_sessions.inc()
            self._received_at = monotonic()
            # Heartbeats that were sent without a connection never come back: they would count as a delay.
            self._beat_at.clear()
            # Heartbeats come on the node's own channel, so it is the first.
            channels = [self._own_channel, *self._wanted - {self._own_channel}]
            resubscription = Resubscription(
                channels, self._wanted, partial(self._on_resubscribed, subscriber)
            )
            subscribing = asyncio.create_task(self._resubscribe(resubscription, reader))
            try:
                await self._receive(subscriber, reader, resubscription)
            finally:
                self._reader = self._session_timeout = None
                self._was_lost = True
                await end([subscribing])

    async def _resubscribe(self, resubscription: Resubscription, reader: ReplyReader) -> None:
        try:
            await resubscription.run(reader.subscribe)
        except FAULTS as error:
            # The reader may not notice: the session is of no use without the other channels.
            bus_failures.labels("subscribe").inc()
            log.warning("gateway.bus.subscribe_failed", error=repr(error))
            self._end_session()

    async def _receive(
        self, subscriber: Subscriber, reader: ReplyReader, resubscription: Resubscription
    ) -> None:
        try:
            async with asyncio.timeout(None) as self._session_timeout:
                while True:
                    replies = await reader.read()
                    self._flowed_at = monotonic()
                    await self._handle(subscriber, replies, resubscription)
        except TimeoutError:
            raise TimeoutError("no heartbeat came back, or the channels were not subscribed to") from None

    async def _handle(
        self, subscriber: Subscriber, replies: Sequence[Reply], resubscription: Resubscription
    ) -> None:
        # A read may bring hundreds of events: without the sleep one turn of the event loop would last for
        # all of them, and an answer to a client takes many turns.
        for reply in replies:
            if reply[0] in MESSAGES:
                for _ in self._deliver(subscriber, reply[-2].decode(), reply[-1]):
                    if monotonic() > self._turn_ends:
                        await asyncio.sleep(0)
                        turn = min(TURN_SECONDS + TURN_SHARE * self.delay, MAX_TURN_SECONDS)
                        self._turn_ends = monotonic() + turn
            elif reply[0] == SUBSCRIBED:
                channel = reply[1].decode()
                self._confirm(channel)
                resubscription.confirm(channel)

    def _on_resubscribed(self, subscriber: Subscriber) -> None:
        if self._was_lost:
            self._was_lost = False
            self._background.spawn(self._resynchronize(subscriber))

    def _end_stale_session(self) -> None:
        """End a session that receives nothing: on a connection that was cut off a read never ends."""
        if self.stale:
            self._end_session()

    def _end_session(self) -> None:
        if self._session_timeout is not None:
            self._session_timeout.reschedule(asyncio.get_running_loop().time())
            self._session_timeout = None

    def _deliver(self, subscriber: Subscriber, channel: str, body: bytes) -> Iterator[None]:
        try:
            yield from subscriber.on_message(channel, body)
        except Exception:
            # An exception here would end the session: every other event of the node would be lost with it.
            bus_failures.labels("handle").inc()
            log.exception("gateway.bus.handler_failed", channel=channel)

    def _confirm(self, channel: str) -> None:
        if channel in self._wanted:
            self._confirmations.confirm(channel)

    async def _resynchronize(self, subscriber: Subscriber) -> None:
        log.info("gateway.bus.reconnected", channels=len(self._confirmations))
        async with self._resync_lock:
            while True:
                try:
                    await subscriber.on_reconnect()
                    return
                except Exception as error:
                    log.warning("gateway.bus.resync_failed", error=repr(error))
                    await asyncio.sleep(RESYNC_SECONDS)

    async def _send_heartbeat(self) -> None:
        self._heartbeats += 1
        sent = (self._heartbeats, monotonic())
        self._beat_at.append(sent)
        try:
            await self.publish({self._own_channel: events.pack([Heartbeat(count=sent[0])])})
        except BaseException:
            with contextlib.suppress(ValueError):  # It was removed with others since.
                self._beat_at.remove(sent)
            raise
