"""A link: a subscriber's connection to one Redis, made again whenever it is lost."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import structlog
from redis.exceptions import MovedError

from parley.gateway import gauges
from parley.gateway.pubsub.heartbeats import Heartbeats
from parley.gateway.pubsub.reply_reader import (
    MESSAGES,
    MOVED,
    SUBSCRIBED,
    TAKEN_AWAY,
    Reply,
    ReplyReader,
    SubscriberCommands,
)
from parley.gateway.pubsub.resubscription import Resubscriptions
from parley.shared.metrics import bus_failures

log = structlog.get_logger()

RECONNECT_SECONDS = 0.2
TURN_SECONDS, TURN_SHARE, MAX_TURN_SECONDS = 0.005, 0.05, 0.015
"""Events are handled for so long before other callbacks of the event loop have their turn. A part of the
delay is added, up to the maximum: events of messages that were accepted go before new messages."""

Groups = Iterable[Sequence[str]]
"""Channels that go into one command each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkHooks:
    """The callbacks of a link."""

    on_message: Callable[[str, bytes], Iterable[None]]
    """Handles the body of a publication on a channel: with each item that it yields, some events more."""
    on_confirmed: Callable[[Collection[str]], None]
    """Channels are subscribed to."""
    on_unconfirmed: Callable[[Iterable[str]], None]
    """Channels are not subscribed to any more."""
    is_confirmed: Callable[[str], bool]
    """Returns whether a channel is subscribed to."""
    on_back: Callable[[], None]
    """All channels are subscribed to again, of some of which events may have been lost."""
    on_moved: Callable[[MovedError], None]
    """The server names another one for a slot."""


class Link:
    """A connection without retries of its own.

    One that is replaced inside the client library would hide which publications were lost.

    Args:
        redis: The client of the server.
        server: The server's name in the log.
        commands: The commands of the server's kind of subscriptions.
        hooks: The callbacks of the link.
        channels: Returns all channels of the link.
        is_wanted: Returns whether a channel is one of these.
        prepare: Makes the connection.
    """

    def __init__(
        self,
        redis: Any,
        server: str,
        commands: SubscriberCommands,
        hooks: LinkHooks,
        *,
        channels: Callable[[], Groups],
        is_wanted: Callable[[str], bool],
        prepare: Callable[[Any], Awaitable[Any]],
    ) -> None:
        self._redis = redis
        self._server = server
        self._commands = commands
        self._hooks = hooks
        self._channels = channels
        self._is_wanted = is_wanted
        self._prepare = prepare
        self.heartbeats = Heartbeats()
        self._reader: ReplyReader | None = None
        self._session_timeout: asyncio.Timeout | None = None
        self._turn_ends = 0.0
        self._was_lost = False
        self._resubscriptions = Resubscriptions(is_wanted, self._on_resubscribed, self._on_unsubscribed)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        return self._reader is not None

    async def run(self) -> None:
        """Connect, subscribe to all channels and deliver what comes; again when the connection is lost."""
        while True:
            try:
                await self._session()
            except Exception as error:
                bus_failures.labels("listen").inc()
                log.warning("gateway.bus.lost", server=self._server, error=repr(error))
            await asyncio.sleep(RECONNECT_SECONDS)

    async def subscribe(self, groups: Groups) -> None:
        """Ask for channels; without a connection they are asked for when there is one."""
        if self._reader is not None:
            await self._reader.subscribe(groups)

    def subscribe_again(self, groups: Groups) -> None:
        """Ask for channels of which events may have been lost; `on_back` is called when they are there."""
        self._was_lost = True
        if self._reader is not None:
            self._resubscriptions.begin(groups, self._reader.subscribe)

    async def unsubscribe(self, groups: Groups) -> None:
        """Ask for no more publications on channels."""
        if self._reader is not None:
            await self._reader.unsubscribe(groups)

    def forget_unwanted(self) -> None:
        """Wait for no confirmation of channels that are not the link's any more."""
        self._resubscriptions.forget_unwanted()

    def ping(self) -> None:
        """Send a heartbeat that comes back on the same connection."""
        if self._reader is not None:
            with self.heartbeats.sending() as count:
                self._reader.ping(str(count))

    def end_session(self) -> None:
        """End the connection, and make it again."""
        if self._session_timeout is not None:
            self._session_timeout.reschedule(asyncio.get_running_loop().time())
            self._session_timeout = None

    def end_stale_session(self) -> None:
        """End a session that receives nothing: on a connection that was cut off a read never ends."""
        if self.heartbeats.stale:
            self.end_session()

    async def _session(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await self._prepare(pubsub)
            self._reader = reader = ReplyReader(pubsub, self._commands)
            gauges.bus_sessions.inc()
            self.heartbeats.restart()
            self._resubscriptions.begin(self._channels(), reader.subscribe)
            try:
                await self._receive(reader)
            finally:
                self._reader = self._session_timeout = None
                self._was_lost = True
                for group in self._channels():
                    self._hooks.on_unconfirmed(group)
                await self._resubscriptions.clear()

    def _on_resubscribed(self) -> None:
        if self._was_lost:
            self._was_lost = False
            self._hooks.on_back()

    def _on_unsubscribed(self, error: BaseException) -> None:
        # The reader may not notice: the session is of no use without the other channels.
        bus_failures.labels("subscribe").inc()
        log.warning("gateway.bus.subscribe_failed", server=self._server, error=repr(error))
        self.end_session()

    async def _receive(self, reader: ReplyReader) -> None:
        try:
            async with asyncio.timeout(None) as self._session_timeout:
                while True:
                    replies = await reader.read()
                    self.heartbeats.flowed()
                    await self._handle(replies)
        except TimeoutError:
            raise TimeoutError("no heartbeat came back, or the channels were not subscribed to") from None

    async def _handle(self, replies: Sequence[Reply]) -> None:
        # A read may bring hundreds of events: without the sleep one turn of the event loop would last for
        # all of them, and an answer to a client takes many turns.
        taken_away: list[str] = []
        confirmed: list[str] = []
        for reply in replies:
            if reply[0] in SUBSCRIBED:
                confirmed.append(reply[1].decode())
                continue
            if confirmed:
                self._confirm(confirmed)
                confirmed = []
            if reply[0] in MESSAGES:
                for _ in self._deliver(reply[-2].decode(), reply[-1]):
                    if monotonic() > self._turn_ends:
                        await asyncio.sleep(0)
                        turn = min(TURN_SECONDS + TURN_SHARE * self.heartbeats.delay, MAX_TURN_SECONDS)
                        self._turn_ends = monotonic() + turn
            elif reply[0] == TAKEN_AWAY:
                self._take_away(reply[1].decode(), taken_away)
            elif reply[0] == MOVED:
                self._hooks.on_moved(reply[1])
            else:
                self._take_pong(reply)
        if confirmed:
            self._confirm(confirmed)
        if taken_away:
            # The answer names the master that has the slot now, which may be the same.
            self.subscribe_again([[channel] for channel in taken_away])

    def _confirm(self, channels: Sequence[str]) -> None:
        self._hooks.on_confirmed([channel for channel in channels if self._is_wanted(channel)])
        self._resubscriptions.confirm(channels)

    def _take_away(self, channel: str, taken_away: list[str]) -> None:
        """Note a channel that Redis has unsubscribed from because its slot has moved."""
        # The answer to an UNSUBSCRIBE of this node is the same. Such a channel is not confirmed, also when it
        # is wanted again: the answer to its new SUBSCRIBE comes behind.
        if self._hooks.is_confirmed(channel) and self._is_wanted(channel):
            self._hooks.on_unconfirmed([channel])
            taken_away.append(channel)

    def _take_pong(self, reply: Any) -> None:
        text = reply if isinstance(reply, bytes) else reply[-1]
        if isinstance(text, bytes) and text.isdigit():
            self.heartbeats.received(int(text))

    def _deliver(self, channel: str, body: bytes) -> Iterator[None]:
        try:
            yield from self._hooks.on_message(channel, body)
        except Exception:
            # An exception here would end the session: every other event of the node would be lost with it.
            bus_failures.labels("handle").inc()
            log.exception("gateway.bus.handler_failed", channel=channel)
