"""The bus: Redis pub/sub with confirmed subscriptions and a heartbeat, across losses of the connection."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from parley.gateway.background import Background
from parley.gateway.core.errors import Unavailable
from parley.gateway.pubsub.cluster_links import ClusterLinks
from parley.gateway.pubsub.confirmations import Confirmations
from parley.gateway.pubsub.link import LinkHooks
from parley.gateway.pubsub.links import Links, SingleLink
from parley.shared import cluster_url, events, rooms
from parley.shared.events import Event
from parley.shared.metrics import bus_failures
from parley.shared.pipelined_connection import raise_first
from parley.shared.pubsub import count_command
from parley.shared.redis import FAULTS

log = structlog.get_logger()

HEARTBEAT_SECONDS = 0.25
COUNT_SECONDS = 5.0
STALE_CHECK_SECONDS = 1.0
CONFIRM_SECONDS = 2.0
RESYNC_SECONDS = 0.5
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
    """Publishes to channels and receives from those subscribed to, by one Redis or by a cluster."""

    def __init__(self, url: str, node: str) -> None:
        own_channel = rooms.channel(rooms.node(node))
        is_cluster = cluster_url.is_cluster(url)
        self._links: Links = ClusterLinks(url) if is_cluster else SingleLink(url, own_channel)
        self._links.wanted.add([own_channel, rooms.channel(rooms.everyone())])
        self._count_command = count_command(rooms.channel(rooms.everyone()), sharded=is_cluster)
        self._confirmations = Confirmations()
        self._subscriber: Subscriber | None = None
        self._resync_lock = asyncio.Lock()
        self._resync_waits = False
        self._best_effort: dict[str, list[Event]] = {}
        self._gateways = 1
        self._background = Background()

    @property
    def stale(self) -> bool:
        """Whether the node's own heartbeat has not come back for too long, from any server."""
        return self._links.stale

    @property
    def delay(self) -> float:
        """Seconds from a publication to its handling here; 0 while the bus is stale."""
        return self._links.delay

    @property
    def channels(self) -> int:
        """The number of channels wanted."""
        return len(self._links.wanted)

    @property
    def gateways(self) -> int:
        """The number of gateways, as it was a few seconds ago; at least this one."""
        return self._gateways

    def start(self, subscriber: Subscriber) -> None:
        """Connect, deliver publications to a subscriber, and send heartbeats."""
        self._subscriber = subscriber
        hooks = LinkHooks(
            on_message=subscriber.on_message,
            on_confirmed=self._confirmations.confirm,
            on_unconfirmed=self._confirmations.drop,
            is_confirmed=self._confirmations.__contains__,
            on_back=self._on_back,
            on_moved=lambda _error: None,
        )
        self._links.start(hooks)
        self._background.repeat(HEARTBEAT_SECONDS, self._send_heartbeat)
        self._background.repeat(COUNT_SECONDS, self._count_gateways)
        self._background.repeat(STALE_CHECK_SECONDS, self._links.end_stale_sessions)

    async def stop(self) -> None:
        """Disconnect."""
        await self._background.stop()
        await self._links.stop()

    def heartbeat_received(self, count: int) -> None:
        """Note that this node's heartbeat of this number came back."""
        self._links.heartbeat_received(count)

    async def subscribe(self, channels: Iterable[str]) -> None:
        """Subscribe to channels; returns when Redis has confirmed all of them.

        Raises:
            Unavailable: Redis did not confirm within `CONFIRM_SECONDS`. The channels stay wanted, and are
                subscribed to after a reconnect, until `drop`.
        """
        missing = self._confirmations.missing(channels)
        if not missing:
            return
        fresh = self._links.wanted.add(missing)
        waiter = self._confirmations.begin(missing)
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                if fresh:
                    await self._links.subscribe(fresh)
                await waiter.done
        except (TimeoutError, *FAULTS) as error:
            bus_failures.labels("subscribe").inc()
            raise Unavailable(AWAY) from error
        finally:
            self._confirmations.end(waiter)

    def drop(self, channels: Collection[str]) -> None:
        """Unsubscribe from channels; a `subscribe` that follows waits for a new confirmation."""
        self._links.wanted.discard(channels)
        self._confirmations.drop(channels)
        self._background.spawn(self._unsubscribe(channels))

    async def publish(self, bodies: Mapping[str, bytes]) -> None:
        """Publish a body on each channel, in one round trip.

        Raises:
            Unavailable: Redis did not accept them; in a cluster some may have been published.
        """
        command = self._links.subscriber_commands.publish
        try:
            replies = await self._links.commands.run([(command, *each) for each in bodies.items()])
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
        unwanted = [c for c in channels if c not in self._links.wanted]
        if not unwanted:
            return
        try:
            await self._links.unsubscribe(unwanted)
        except FAULTS:
            bus_failures.labels("unsubscribe").inc()

    async def _count_gateways(self) -> None:
        try:
            # Every gateway subscribes to this channel.
            replies = await self._links.commands.run([self._count_command])
            raise_first(replies)
        except FAULTS:
            return
        self._gateways = max(1, replies[0][1])

    async def _send_heartbeat(self) -> None:
        await self._links.send_heartbeat(self.publish)

    def _on_back(self) -> None:
        # One that waits for its turn makes up for what the others find lost meanwhile.
        if not self._resync_waits:
            self._resync_waits = True
            self._background.spawn(self._resynchronize())

    async def _resynchronize(self) -> None:
        assert self._subscriber is not None
        log.info("gateway.bus.reconnected", channels=len(self._confirmations))
        async with self._resync_lock:
            self._resync_waits = False
            while True:
                try:
                    await self._subscriber.on_reconnect()
                    break
                except Exception as error:
                    log.warning("gateway.bus.resync_failed", error=repr(error))
                    await asyncio.sleep(RESYNC_SECONDS)
            # The slots of a cluster move one after the other: they must not make one after the other of this.
            if self._resync_waits:
                await asyncio.sleep(RESYNC_SECONDS)
