"""Builds the live parts of a node, which receive its events and keep its sockets and rooms right."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from parley.gateway.live.admissions import Admissions
from parley.gateway.live.audits import Audits
from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.live.commit_waiters import CommitWaiters
from parley.gateway.live.connection_manager import ConnectionManager
from parley.gateway.live.contact_reads import ContactReads
from parley.gateway.live.deferred_presence import DeferredPresence
from parley.gateway.live.delivery_log import DeliveryLog
from parley.gateway.live.departures import Departures
from parley.gateway.live.event_handlers import EventHandlers
from parley.gateway.live.event_router import EventRouter
from parley.gateway.live.join_backfill import JoinBackfill
from parley.gateway.live.lingering_users import LingeringUsers
from parley.gateway.live.local_conversations import LocalConversations
from parley.gateway.live.message_delivery import MessageDelivery
from parley.gateway.live.presence_tracker import PresenceTracker
from parley.gateway.live.reconciler import Reconciler
from parley.gateway.live.removal_watch import RemovalWatch
from parley.gateway.live.room_membership import MembershipObserver, RoomMembership
from parley.gateway.live.session_rooms import SessionRooms
from parley.gateway.live.sessions import Sessions
from parley.gateway.live.streams import Streams
from parley.gateway.live.traced_handlers import traced
from parley.gateway.live.typing_events import TypingEvents
from parley.gateway.live.unread_counts import UnreadCounts
from parley.gateway.live.user_loader import UserLoader
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.pubsub.bus import Bus
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.services.composition import Ports, Services
from parley.gateway.services.epochs import Epochs
from parley.gateway.services.member_summaries import MemberSummaries
from parley.gateway.state.admission import AdmissionController
from parley.gateway.state.contact_index import ContactIndex
from parley.gateway.state.load_monitor import LoadMonitor
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.state.typing_board import TypingBoard
from parley.shared.tracing import Tracer

Spawn = Callable[[Coroutine[Any, Any, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveContext:
    """The dependencies of the live parts.

    Attributes:
        spawn: runs a coroutine in the background.
        presence_seconds: within this time every node has renewed its leases in a Redis that lost them.
        presence_members: members past which a conversation does not announce who comes and goes.
        tracer: traces messages, if they are.
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
    presence_members: int
    audit_seconds: float
    tracer: Tracer | None = None


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
    presence_tracker: PresenceTracker
    connection_manager: ConnectionManager
    admissions: Admissions
    local_conversations: LocalConversations
    lingering_users: LingeringUsers
    reconciler: Reconciler
    audits: Audits
    removal_watch: RemovalWatch
    deferred_presence: DeferredPresence
    typing_board: TypingBoard
    typing_events: TypingEvents
    router: EventRouter


def build_delivery(context: LiveContext) -> DeliveryParts:
    """Build the path from a stream to the sockets."""
    session_rooms, ports = SessionRooms(), context.ports
    delivery_log = DeliveryLog(context.services.receipts.recent)
    broadcaster = Broadcaster(context.manager, context.protocols, session_rooms, context.membership_cache)
    unread_counts = UnreadCounts(context.membership_cache, broadcaster)
    delivery = MessageDelivery(context.membership_cache, delivery_log, broadcaster, unread_counts)
    return DeliveryParts(
        sessions=Sessions(),
        session_rooms=session_rooms,
        broadcaster=broadcaster,
        delivery_log=delivery_log,
        unread_counts=unread_counts,
        streams=Streams(ports.messages, ports.people, delivery, Epochs(ports.conversations, ports.messages)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _MemberParts:
    """The parts that bring local users into their conversations, and take them out."""

    room_membership: RoomMembership
    join_backfill: JoinBackfill
    contact_reads: ContactReads
    presence_tracker: PresenceTracker
    local_conversations: LocalConversations
    lingering_users: LingeringUsers
    admissions: Admissions


def build_live(context: LiveContext, delivery: DeliveryParts, observer: MembershipObserver) -> LiveParts:
    """Build the other live parts; the event router comes last, and knows all the others."""
    parts = _member_parts(context, delivery, observer)
    connection_manager = _connection_manager(context, delivery, parts)
    board = TypingBoard()
    deferred_presence = DeferredPresence(parts.presence_tracker, context.load_monitor)
    reconciler = _reconciler(context, delivery, parts)
    typing_events = TypingEvents(board, delivery.broadcaster, context.load_monitor)
    handlers = EventHandlers(
        streams=delivery.streams,
        broadcaster=delivery.broadcaster,
        delivery_log=delivery.delivery_log,
        connection_manager=connection_manager,
        admissions=parts.admissions,
        local_conversations=parts.local_conversations,
        presence_tracker=parts.presence_tracker,
        deferred_presence=deferred_presence,
        typing_events=typing_events,
        membership_cache=context.membership_cache,
        messages=context.services.messages,
        profiles=context.services.profiles,
        revocations=context.services.revocations,
        manager=context.manager,
        bus=context.bus,
        spawn=context.spawn,
    ).table()
    return LiveParts(
        room_membership=parts.room_membership,
        presence_tracker=parts.presence_tracker,
        connection_manager=connection_manager,
        admissions=parts.admissions,
        local_conversations=parts.local_conversations,
        lingering_users=parts.lingering_users,
        reconciler=reconciler,
        audits=Audits(
            reconciler=reconciler,
            streams=delivery.streams,
            sessions=delivery.sessions,
            membership_cache=context.membership_cache,
            seconds=context.audit_seconds,
        ),
        removal_watch=RemovalWatch(
            memberships=context.ports.memberships,
            membership_cache=context.membership_cache,
            local_conversations=parts.local_conversations,
            presence_tracker=parts.presence_tracker,
        ),
        deferred_presence=deferred_presence,
        typing_board=board,
        typing_events=typing_events,
        router=EventRouter(
            handlers if context.tracer is None else traced(handlers, context.tracer),
            context.commit_waiters,
            context.admission,
        ),
    )


def _member_parts(
    context: LiveContext, delivery: DeliveryParts, observer: MembershipObserver
) -> _MemberParts:
    ports, cache = context.ports, context.membership_cache
    sessions, session_rooms, streams = delivery.sessions, delivery.session_rooms, delivery.streams
    room_membership = RoomMembership(context.manager, sessions, session_rooms, observer)
    contacts = ContactIndex(context.presence_members)
    contact_reads = ContactReads(ports.memberships, cache, contacts)
    presence_tracker = PresenceTracker(
        sessions=sessions,
        membership_cache=cache,
        memberships=ports.memberships,
        presence=ports.presence,
        contacts=contacts,
        contact_reads=contact_reads,
        broadcaster=delivery.broadcaster,
    )
    join_backfill = JoinBackfill(
        streams, ports.messages, ports.people, delivery.delivery_log, delivery.broadcaster
    )
    local_conversations = LocalConversations(
        sessions=sessions,
        session_rooms=session_rooms,
        room_membership=room_membership,
        membership_cache=cache,
        streams=streams,
        conversations=ports.conversations,
        messages=ports.messages,
        join_backfill=join_backfill,
        presence_tracker=presence_tracker,
        broadcaster=delivery.broadcaster,
    )
    return _MemberParts(
        room_membership=room_membership,
        join_backfill=join_backfill,
        contact_reads=contact_reads,
        presence_tracker=presence_tracker,
        local_conversations=local_conversations,
        lingering_users=LingeringUsers(cache, local_conversations),
        admissions=Admissions(
            sessions=sessions,
            session_rooms=session_rooms,
            room_membership=room_membership,
            membership_cache=cache,
            local_conversations=local_conversations,
            memberships=ports.memberships,
            profiles=context.services.profiles,
            join_backfill=join_backfill,
            presence_tracker=presence_tracker,
            broadcaster=delivery.broadcaster,
        ),
    )


def _connection_manager(
    context: LiveContext, delivery: DeliveryParts, parts: _MemberParts
) -> ConnectionManager:
    user_loader = UserLoader(
        sessions=delivery.sessions,
        room_membership=parts.room_membership,
        membership_cache=context.membership_cache,
        local_conversations=parts.local_conversations,
        lingering_users=parts.lingering_users,
        reads=context.ports.connect_reads,
        profiles=context.services.profiles,
        contact_reads=parts.contact_reads,
    )
    return ConnectionManager(
        sessions=delivery.sessions,
        session_rooms=delivery.session_rooms,
        room_membership=parts.room_membership,
        membership_cache=context.membership_cache,
        streams=delivery.streams,
        access=context.services.access,
        user_loader=user_loader,
        admissions=parts.admissions,
        local_conversations=parts.local_conversations,
        lingering_users=parts.lingering_users,
        presence=context.ports.presence,
        departures=Departures(context.ports.presence, context.spawn),
        presence_service=context.services.presence,
        presence_tracker=parts.presence_tracker,
        join_backfill=parts.join_backfill,
    )


def _reconciler(context: LiveContext, delivery: DeliveryParts, parts: _MemberParts) -> Reconciler:
    return Reconciler(
        admissions=parts.admissions,
        local_conversations=parts.local_conversations,
        lingering_users=parts.lingering_users,
        presence_tracker=parts.presence_tracker,
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
