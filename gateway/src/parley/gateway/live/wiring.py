"""The live side of a node, wired: who is here, what they are told, and what keeps that right."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from parley.gateway.core.errors import Unavailable
from parley.gateway.live.connection_manager import ConnectionManager
from parley.gateway.live.fanout import FanOut
from parley.gateway.live.join_backfill import JoinBackfill
from parley.gateway.live.presence_subscriptions import PresenceSubscriptions
from parley.gateway.live.reconciler import Reconciler
from parley.gateway.live.room_membership import RoomMembership
from parley.gateway.live.sessions import Sessions
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.services.composition import Ports, Services
from parley.gateway.state.load_monitor import LoadMonitor
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.state.streams import Streams
from parley.gateway.state.typing_board import TypingBoard
from parley.shared.events import MemberRemoved

log = structlog.get_logger()

Spawn = Callable[[Coroutine[Any, Any, Any]], None]


class Live:
    """All that hears of events and tells this node's sockets.

    `spawn` does something beside; within `presence_seconds` every node has told a Redis that has
    forgotten all who is there.
    """

    def __init__(
        self,
        *,
        manager: RedisManager,
        protocols: Sequence[ClientProtocol],
        ports: Ports,
        services: Services,
        membership_cache: MembershipCache,
        load_monitor: LoadMonitor,
        spawn: Spawn,
        presence_seconds: float,
    ) -> None:
        self._spawn = spawn
        self._presence_seconds = presence_seconds
        self.membership_cache = membership_cache
        self.sessions = Sessions()
        self.board = TypingBoard()
        self.room_membership = RoomMembership(manager, self.sessions)
        self.fanout = FanOut(
            manager=manager,
            protocols=protocols,
            membership_cache=membership_cache,
            board=self.board,
            passed_on=services.receipts.on_emitted,
            refused=services.messages.on_refused,
            load_monitor=load_monitor,
        )
        self.streams = Streams(ports.messages, ports.people, self.fanout.pass_on)
        self.presence_subscriptions = PresenceSubscriptions(
            sessions=self.sessions,
            room_membership=self.room_membership,
            membership_cache=membership_cache,
            memberships=ports.memberships,
            presence=ports.presence,
            tell=self.fanout.tell_each,
            say=self.fanout.say,
        )
        self.connection_manager = ConnectionManager(
            sessions=self.sessions,
            room_membership=self.room_membership,
            membership_cache=membership_cache,
            streams=self.streams,
            access=services.access,
            conversations=ports.conversations,
            memberships=ports.memberships,
            people=ports.people,
            presence=ports.presence,
            contacts=services.presence,
            join_backfill=JoinBackfill(self.streams, ports.messages, ports.people, self.fanout),
            presence_subscriptions=self.presence_subscriptions,
            tell=self.fanout.say,
        )
        self.reconciler = Reconciler(
            connection_manager=self.connection_manager,
            presence_subscriptions=self.presence_subscriptions,
            sessions=self.sessions,
            membership_cache=membership_cache,
            streams=self.streams,
            conversations=ports.conversations,
            memberships=ports.memberships,
            messages=ports.messages,
            fanout=self.fanout,
        )
        self._connect_parts(manager)

    def _connect_parts(self, manager: RedisManager) -> None:
        manager.on_unsubscribed = self.presence_subscriptions.unheard
        self.fanout.streams = self.streams
        self.fanout.stays = self.connection_manager.stays
        self.fanout.on_presence = self.presence_subscriptions.heard
        self.fanout.on_created = lambda user_id, event: self._spawn(
            self.connection_manager.admit(user_id, event)
        )
        self.fanout.on_added = lambda event: self._spawn(self.presence_subscriptions.added(event))
        self.fanout.on_removed = self._removed
        self.fanout.on_control = lambda control: self._spawn(manager.apply_remote_command(control))

    async def restore(self) -> None:
        """The bus was lost, and is back: make up for what it did not bring."""
        await self.reconciler.restore()
        self._spawn(self._make_up_presence())

    async def _make_up_presence(self) -> None:
        await asyncio.sleep(self._presence_seconds)
        try:
            await self.presence_subscriptions.make_up()
        except Unavailable as error:
            log.warning("some may be thought to be there, or not", error=str(error))

    def _removed(self, event: MemberRemoved) -> None:
        self.connection_manager.expel(event.conversation_id, event.user_id)
        self._spawn(self._part(event))

    async def _part(self, event: MemberRemoved) -> None:
        try:
            await self.presence_subscriptions.parted(event.conversation_id, event.user_id)
        except Unavailable as error:
            log.warning("some still hear of each other", user=event.user_id, error=str(error))
