"""Builds the live parts of a node, which receive its events and keep its sockets and rooms right."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.live.commit_waiters import CommitWaiters
from parley.gateway.live.connection_manager import ConnectionManager
from parley.gateway.live.deferred_presence import DeferredPresence
from parley.gateway.live.delivery_log import DeliveryLog
from parley.gateway.live.event_handlers import EventHandlers
from parley.gateway.live.event_router import EventRouter
from parley.gateway.live.join_backfill import JoinBackfill
from parley.gateway.live.message_delivery import MessageDelivery
from parley.gateway.live.presence_subscriptions import PresenceSubscriptions
from parley.gateway.live.reconciler import Reconciler
from parley.gateway.live.removal_watch import RemovalWatch
from parley.gateway.live.room_membership import MembershipObserver, RoomMembership
from parley.gateway.live.session_rooms import SessionRooms
from parley.gateway.live.sessions import Sessions
from parley.gateway.live.streams import Streams
from parley.gateway.live.typing_events import TypingEvents
from parley.gateway.live.unread_counts import UnreadCounts
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.pubsub.bus import Bus
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.services.composition import Ports, Services
from parley.gateway.services.epochs import Epochs
from parley.gateway.services.member_summaries import MemberSummaries
from parley.gateway.state.admission import AdmissionController
from parley.gateway.state.load_monitor import LoadMonitor
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.state.typing_board import TypingBoard

Spawn = Callable[[Coroutine[Any, Any, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveContext:
    """The dependencies of the live parts.

    Attributes:
        spawn: runs a coroutine in the background.
        presence_seconds: within this time every node has renewed its leases in a Redis that lost them.
    """

    bus: Bus
    manager: RedisManager
    admission: AdmissionController
    protocols: Sequence[ClientProtocol]
    ports: Ports
    services: Services
    commit_waiters: CommitWaiters
    membership_cache: MembershipCache
    load_monitor: LoadMonitor
    spawn: Spawn
    presence_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryParts:
    """The path from a stream's next event to the sockets; the other live parts use it."""

    sessions: Sessions
    session_rooms: SessionRooms
    broadcaster: Broadcaster
    delivery_log: DeliveryLog
    unread_counts: UnreadCounts
    streams: Streams


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveParts:
    """The parts that receive events and keep memberships, rooms and presence right."""

    room_membership: RoomMembership
    presence_subscriptions: PresenceSubscriptions
    connection_manager: ConnectionManager
    reconciler: Reconciler
    removal_watch: RemovalWatch
    deferred_presence: DeferredPresence
    typing_board: TypingBoard
    typing_events: TypingEvents
    router: EventRouter


def build_delivery(context: LiveContext) -> DeliveryParts:
    """Build the path from a stream to the sockets."""
    session_rooms, delivery_log, ports = SessionRooms(), DeliveryLog(), context.ports
    broadcaster = Broadcaster(context.manager, context.protocols, session_rooms, context.membership_cache)
    unread_counts = UnreadCounts(context.membership_cache, broadcaster)
    receipts = context.services.receipts
    delivery = MessageDelivery(context.membership_cache, receipts, delivery_log, broadcaster, unread_counts)
    return DeliveryParts(
        sessions=Sessions(),
        session_rooms=session_rooms,
        broadcaster=broadcaster,
        delivery_log=delivery_log,
        unread_counts=unread_counts,
        streams=Streams(ports.messages, ports.people, delivery, Epochs(ports.conversations, ports.messages)),
    )


def build_live(context: LiveContext, delivery: DeliveryParts, observer: MembershipObserver) -> LiveParts:
    """Build the other live parts; the event router comes last, and knows all the others."""
    room_membership = RoomMembership(context.manager, delivery.sessions, delivery.session_rooms, observer)
    presence_subscriptions = _presence_subscriptions(context, delivery, room_membership)
    connection_manager = _connection_manager(context, delivery, room_membership, presence_subscriptions)
    board = TypingBoard()
    deferred_presence = DeferredPresence(delivery.broadcaster, context.load_monitor)
    typing_events = TypingEvents(board, delivery.broadcaster, context.load_monitor)
    handlers = EventHandlers(
        streams=delivery.streams,
        broadcaster=delivery.broadcaster,
        delivery_log=delivery.delivery_log,
        connection_manager=connection_manager,
        presence_subscriptions=presence_subscriptions,
        deferred_presence=deferred_presence,
        typing_events=typing_events,
        membership_cache=context.membership_cache,
        messages=context.services.messages,
        profiles=context.services.profiles,
        revocations=context.services.revocations,
        manager=context.manager,
        bus=context.bus,
        spawn=context.spawn,
    )
    return LiveParts(
        room_membership=room_membership,
        presence_subscriptions=presence_subscriptions,
        connection_manager=connection_manager,
        reconciler=_reconciler(context, delivery, connection_manager, presence_subscriptions),
        removal_watch=RemovalWatch(
            memberships=context.ports.memberships,
            membership_cache=context.membership_cache,
            connection_manager=connection_manager,
            presence_subscriptions=presence_subscriptions,
        ),
        deferred_presence=deferred_presence,
        typing_board=board,
        typing_events=typing_events,
        router=EventRouter(handlers.table(), context.commit_waiters, context.admission),
    )


def _presence_subscriptions(
    context: LiveContext, delivery: DeliveryParts, room_membership: RoomMembership
) -> PresenceSubscriptions:
    return PresenceSubscriptions(
        sessions=delivery.sessions,
        session_rooms=delivery.session_rooms,
        room_membership=room_membership,
        membership_cache=context.membership_cache,
        memberships=context.ports.memberships,
        presence=context.ports.presence,
        broadcaster=delivery.broadcaster,
    )


def _connection_manager(
    context: LiveContext,
    delivery: DeliveryParts,
    room_membership: RoomMembership,
    presence_subscriptions: PresenceSubscriptions,
) -> ConnectionManager:
    ports = context.ports
    join_backfill = JoinBackfill(
        delivery.streams, ports.messages, ports.people, delivery.delivery_log, delivery.broadcaster
    )
    return ConnectionManager(
        sessions=delivery.sessions,
        session_rooms=delivery.session_rooms,
        room_membership=room_membership,
        membership_cache=context.membership_cache,
        streams=delivery.streams,
        access=context.services.access,
        conversations=ports.conversations,
        memberships=ports.memberships,
        messages=ports.messages,
        profiles=context.services.profiles,
        presence=ports.presence,
        contacts=context.services.presence,
        join_backfill=join_backfill,
        presence_subscriptions=presence_subscriptions,
        broadcaster=delivery.broadcaster,
    )


def _reconciler(
    context: LiveContext,
    delivery: DeliveryParts,
    connection_manager: ConnectionManager,
    presence_subscriptions: PresenceSubscriptions,
) -> Reconciler:
    return Reconciler(
        connection_manager=connection_manager,
        presence_subscriptions=presence_subscriptions,
        sessions=delivery.sessions,
        session_rooms=delivery.session_rooms,
        membership_cache=context.membership_cache,
        streams=delivery.streams,
        conversations=context.ports.conversations,
        memberships=context.ports.memberships,
        messages=context.ports.messages,
        summaries=MemberSummaries(context.ports.memberships, context.ports.people),
        broadcaster=delivery.broadcaster,
        presence_seconds=context.presence_seconds,
        spawn=context.spawn,
    )
