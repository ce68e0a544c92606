"""Builds the Socket.IO server of a node, its namespaces, and what closes sockets."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from parley.gateway.auth import Authenticator
from parley.gateway.live.composition import DeliveryParts, LiveParts
from parley.gateway.live.sessions import Session
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.recovery.connection_recovery import ConnectionRecovery
from parley.gateway.recovery.session_snapshots import SessionSnapshots
from parley.gateway.services.audience import AudienceCosts
from parley.gateway.services.command_bus import CommandBus
from parley.gateway.services.profiles import Profiles
from parley.gateway.services.revocations import RevocationService
from parley.gateway.settings import Settings
from parley.gateway.sockets.early_refusals import EarlyRefusals
from parley.gateway.sockets.event_dispatcher import EventDispatcher, reads_bulkhead
from parley.gateway.sockets.identities import Identities
from parley.gateway.sockets.idle_reaper import IdleReaper
from parley.gateway.sockets.namespace import CONNECTS_AT_ONCE, ChatNamespace, connects_bulkhead
from parley.gateway.sockets.replaced_history_reaper import ReplacedHistoryReaper
from parley.gateway.sockets.socket_answers import SocketAnswers
from parley.gateway.sockets.token_expiry_reaper import TokenExpiryReaper
from parley.gateway.sockets.traced_dispatcher import TracedDispatcher
from parley.gateway.state.admission import AdmissionController
from parley.gateway.state.answer_budget import AnswerBudget
from parley.gateway.state.bulkhead import Bulkhead
from parley.gateway.state.hop_delays import DelayGauge
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.state.rates import Rates
from parley.gateway.transport.engine_server import HANDSHAKE_CONTEXT
from parley.gateway.transport.server import ChatServer
from parley.gateway.transport.trusted_proxies import TrustedProxies
from parley.shared.tracing import Tracer


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketContext:
    """The dependencies of the Socket.IO edge. `spawn` runs a coroutine in the background."""

    settings: Settings
    protocols: tuple[ClientProtocol, ...]
    manager: RedisManager
    authenticator: Authenticator
    command_bus: CommandBus
    profiles: Profiles
    revocations: RevocationService
    rates: Rates
    audience_costs: AudienceCosts
    answers: AnswerBudget
    delivery: DeliveryParts
    live: LiveParts
    recovery: ConnectionRecovery
    snapshots: SessionSnapshots
    membership_cache: MembershipCache
    admission: AdmissionController
    inbox_delay: DelayGauge
    spawn: Callable[[Coroutine[Any, Any, Any]], None]
    tracer: Tracer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketParts:
    """The server, and the reapers that close its sockets."""

    server: ChatServer
    idle_reaper: IdleReaper
    token_expiry_reaper: TokenExpiryReaper
    replaced_history_reaper: ReplacedHistoryReaper
    connects: Bulkhead
    reads: Bulkhead


def build_sockets(context: SocketContext) -> SocketParts:
    """Build the Socket.IO edge."""
    identities = Identities(context.profiles)
    server = _server(context)
    connects, reads = connects_bulkhead(), reads_bulkhead()
    server.eio.pacing.is_busy = lambda: len(connects) >= CONNECTS_AT_ONCE
    dispatcher = _dispatcher(context, identities, server, reads)
    namespaces = {protocol.namespace for protocol in context.protocols}
    for namespace in namespaces:
        server.register_namespace(_namespace(context, namespace, identities, dispatcher, connects))
    return SocketParts(
        server=server,
        connects=connects,
        reads=reads,
        idle_reaper=IdleReaper(server.eio, context.manager.connections, context.manager.has_joined),
        token_expiry_reaper=TokenExpiryReaper(
            sessions=context.delivery.sessions,
            session_rooms=context.delivery.session_rooms,
            room_membership=context.live.room_membership,
            identities=identities,
            authenticator=context.authenticator,
            revocations=context.revocations,
            server=server,
            spawn=context.spawn,
        ),
        replaced_history_reaper=ReplacedHistoryReaper(
            streams=context.delivery.streams,
            membership_cache=context.membership_cache,
            sessions=context.delivery.sessions,
            snapshots=context.snapshots,
            server=server,
        ),
    )


def _server(context: SocketContext) -> ChatServer:
    settings = context.settings
    return ChatServer(
        client_manager=context.manager,
        node_name=settings.node_name,
        allowed_origins=settings.cors_origins,
        proxies=TrustedProxies(settings.nginx_networks, settings.trusted_proxies),
        rates=context.rates,
        unread_limit=settings.backlog_limit,
        inbox_delay=context.inbox_delay,
        max_http_buffer_size=settings.max_frame,
    )


def _dispatcher(
    context: SocketContext, identities: Identities, server: ChatServer, reads: Bulkhead
) -> EventDispatcher:
    make: Callable[..., EventDispatcher] = EventDispatcher
    if context.tracer is not None:
        make = partial(
            TracedDispatcher, context.tracer, context.protocols, partial(_handshake_context, server)
        )
    return make(
        authenticator=context.authenticator,
        identities=identities,
        profiles=context.profiles,
        command_bus=context.command_bus,
        connection_manager=context.live.connection_manager,
        session_rooms=context.delivery.session_rooms,
        room_membership=context.live.room_membership,
        presence_tracker=context.live.presence_tracker,
        broadcaster=context.delivery.broadcaster,
        recovery=context.recovery,
        rates=context.rates,
        audience_costs=context.audience_costs,
        answers=SocketAnswers(context.answers, context.manager, context.spawn),
        early_refusals=EarlyRefusals(context.admission),
        reads=reads,
    )


def _namespace(
    context: SocketContext,
    namespace: str,
    identities: Identities,
    dispatcher: EventDispatcher,
    connects: Bulkhead,
) -> ChatNamespace:
    return ChatNamespace(
        namespace,
        tuple(protocol for protocol in context.protocols if protocol.namespace == namespace),
        authenticator=context.authenticator,
        token_in_query=context.settings.token_in_query,
        identities=identities,
        dispatcher=dispatcher,
        sessions=context.delivery.sessions,
        session_rooms=context.delivery.session_rooms,
        connection_manager=context.live.connection_manager,
        broadcaster=context.delivery.broadcaster,
        recovery=context.recovery,
        snapshots=context.snapshots,
        rates=context.rates,
        audience_costs=context.audience_costs,
        connects=connects,
        max_sockets_of_user=context.settings.max_sockets_of_user,
    )


def _handshake_context(server: ChatServer, session: Session) -> str | None:
    eio_sid = server.manager.eio_sid_from_sid(session.sid, session.namespace)
    found: str | None = server.environ.get(eio_sid, {}).get(HANDSHAKE_CONTEXT)
    return found
