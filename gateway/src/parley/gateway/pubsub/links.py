"""The link to a Redis that is one, alone or behind sentinels; `cluster_links.py` has those of a cluster."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from parley.gateway.background import Background
from parley.gateway.pubsub.link import Link, LinkHooks
from parley.gateway.pubsub.reply_reader import PLAIN, SubscriberCommands
from parley.gateway.pubsub.wanted_channels import WantedChannels
from parley.shared import events, rooms
from parley.shared.events import Heartbeat
from parley.shared.redis import Commands, connect, open_commands

Publish = Callable[[Mapping[str, bytes]], Awaitable[None]]


class Links(Protocol):
    """A node's subscriptions, by links to all servers that publications come from."""

    @property
    def subscriber_commands(self) -> SubscriberCommands:
        """The commands of the servers' kind of subscriptions."""

    @property
    def commands(self) -> Commands:
        """Runs the command that publishes, and others."""

    @property
    def wanted(self) -> WantedChannels:
        """The channels of the node."""

    @property
    def stale(self) -> bool:
        """Whether the publications of some channels have not come for too long."""

    @property
    def delay(self) -> float:
        """Seconds from a publication to its handling here; 0 while stale."""

    def start(self, hooks: LinkHooks) -> None:
        """Connect, and subscribe to all wanted channels."""

    async def stop(self) -> None:
        """Close the connections."""

    async def subscribe(self, channels: Iterable[str]) -> None:
        """Ask for channels which are wanted. Raises an exception of `FAULTS`."""

    async def unsubscribe(self, channels: Iterable[str]) -> None:
        """Ask for no more publications on channels. Raises an exception of `FAULTS`."""

    async def send_heartbeat(self, publish: Publish) -> None:
        """Send a heartbeat to each server. Raises what `publish` raises."""

    def heartbeat_received(self, count: int) -> None:
        """Note that a heartbeat came back that was published."""

    def end_stale_sessions(self) -> None:
        """Replace the connections that receive nothing."""


class SingleLink:
    """`Links` to one Redis."""

    subscriber_commands = PLAIN

    def __init__(self, url: str, own_channel: str) -> None:
        self.commands = open_commands(url)
        self.wanted = WantedChannels()
        self._own_channel = own_channel
        self._redis = connect(url, retries=0)
        self._link: Link | None = None
        self._background = Background()

    @property
    def stale(self) -> bool:
        return self._link is None or self._link.heartbeats.stale

    @property
    def delay(self) -> float:
        return 0.0 if self._link is None else self._link.heartbeats.delay

    def start(self, hooks: LinkHooks) -> None:
        self._link = Link(
            self._redis,
            "redis",
            PLAIN,
            hooks,
            channels=self._channels,
            is_wanted=self.wanted.__contains__,
            prepare=_subscribe_to_presence,
        )
        self._background.spawn(self._link.run())

    async def stop(self) -> None:
        await self._background.stop()
        await self.commands.close()
        await self._redis.aclose()

    async def subscribe(self, channels: Iterable[str]) -> None:
        if self._link is not None:
            await self._link.subscribe([list(channels)])

    async def unsubscribe(self, channels: Iterable[str]) -> None:
        if self._link is not None:
            await self._link.unsubscribe([list(channels)])

    async def send_heartbeat(self, publish: Publish) -> None:
        if self._link is not None:
            with self._link.heartbeats.sending() as count:
                await publish({self._own_channel: events.pack([Heartbeat(count=count)])})

    def heartbeat_received(self, count: int) -> None:
        if self._link is not None:
            self._link.heartbeats.received(count)

    def end_stale_sessions(self) -> None:
        if self._link is not None:
            self._link.end_stale_session()

    def _channels(self) -> Iterator[Sequence[str]]:
        # Heartbeats come on the node's own channel, so it is the first.
        yield [self._own_channel]
        yield from self.wanted.groups([0])


async def _subscribe_to_presence(pubsub: Any) -> None:
    # Gateways of version 0.2.0 publish on a channel for each user who comes or goes.
    await pubsub.psubscribe(rooms.channel(rooms.presence("*")))
