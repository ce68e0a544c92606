"""Puts the gateway together: the only module that knows all its parts."""

import asyncio
import base64
import secrets
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from parley.gateway import gauges
from parley.gateway.adapters.content_sniffer import ByteSniffer
from parley.gateway.adapters.mongo.attachments import MongoAttachments
from parley.gateway.adapters.mongo.contracts import MongoContracts
from parley.gateway.adapters.mongo.conversations import MongoConversations
from parley.gateway.adapters.mongo.memberships import MongoMemberships
from parley.gateway.adapters.mongo.messages import MongoMessages
from parley.gateway.adapters.mongo.people import MongoPeople
from parley.gateway.adapters.mongo.revocations import MongoRevocations
from parley.gateway.adapters.mongo.search import MongoSearch
from parley.gateway.adapters.rabbitmq.outbox import RabbitOutbox
from parley.gateway.adapters.redis.presence import RENEW_SECONDS, RedisPresence
from parley.gateway.adapters.redis.snapshots import RedisSnapshotStore
from parley.gateway.api_docs import documents
from parley.gateway.auth import Authenticator
from parley.gateway.background import Background
from parley.gateway.core.ports import Files
from parley.gateway.live.commit_waiters import CommitWaiters
from parley.gateway.live.wiring import Live
from parley.gateway.protocols.administration import ADMINISTRATION
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.protocols.registry import PROTOCOLS
from parley.gateway.pubsub.bus import Bus
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.recovery.connection_recovery import ConnectionRecovery
from parley.gateway.recovery.session_snapshots import SessionSnapshots
from parley.gateway.rest import safe_headers
from parley.gateway.rest.attachments import AttachmentRoutes
from parley.gateway.rest.content_encoding import reject_encoded_bodies
from parley.gateway.rest.cors import Cors
from parley.gateway.rest.errors import json_errors
from parley.gateway.rest.mount import RestApi, error_response
from parley.gateway.services.command_bus import CommandBus
from parley.gateway.services.composition import Ports, build_services
from parley.gateway.services.revocations import RevocationService
from parley.gateway.settings import Settings, rates_of
from parley.gateway.signing_keys import SigningKeys
from parley.gateway.sockets.connection_limiter import ConnectionLimiter
from parley.gateway.sockets.idle_reaper import IdleReaper
from parley.gateway.sockets.namespace import ChatNamespace
from parley.gateway.sockets.token_expiry_reaper import TokenExpiryReaper
from parley.gateway.state.admission import AdmissionController
from parley.gateway.state.load_monitor import LoadMonitor
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.state.rates import Rates
from parley.gateway.transport import json, origins
from parley.gateway.transport import lean_websocket as connection
from parley.gateway.transport.packets import ClientPacket
from parley.gateway.transport.server import ChatServer
from parley.gateway.web import pages
from parley.shared import health, mongo
from parley.shared.cancellation import within
from parley.shared.partitions import Partitions
from parley.shared.redis import connect

log = structlog.get_logger()

COUNTS_SECONDS = 0.1
LOOSE_SECONDS = 3_600.0
SWEEP_SECONDS = 1.0
REVOCATIONS_SECONDS = 2.0
"""How soon a node learns of a revocation that the bus did not bring."""
TYPING_SECONDS = 0.5
PRESSURE_SECONDS = 0.25
STOP_SECONDS = 4.0


class Gateway:
    """All parts of one node, wired."""

    def __init__(
        self,
        settings: Settings,
        database: Any,
        files: Files,
        protocols: tuple[ClientProtocol, ...] = PROTOCOLS,
    ) -> None:
        self.protocols = protocols
        self.settings = settings
        self.database = database
        self.bus = Bus(settings.redis_url, settings.node_name)
        self.manager = RedisManager(self.bus)
        partitions = Partitions(settings.partitions)
        self.outbox = RabbitOutbox(
            settings.rabbitmq_url,
            partitions,
            limit=settings.outbox_limit,
            name=settings.node_name,
        )
        self.backlog = AdmissionController(
            self.outbox, partitions.of, partitions.count, deadline=settings.store_within_seconds
        )
        self.outbox.linger = self.backlog.linger
        self.presence = RedisPresence(connect(settings.redis_url), self.bus)
        self.membership_cache = MembershipCache()
        self.background = Background()
        memberships = MongoMemberships(database)
        attachments = MongoAttachments(database)
        self.ports = Ports(
            outbox=self.backlog,
            event_publisher=self.bus,
            presence=self.presence,
            conversations=MongoConversations(database),
            memberships=memberships,
            membership_changes=memberships,
            contracts=MongoContracts(database),
            messages=MongoMessages(database),
            search=MongoSearch(database),
            people=MongoPeople(database),
            attachments=attachments,
            orphaned_attachments=attachments,
            files=files,
            sniffer=ByteSniffer,
            max_upload=settings.max_upload,
        )
        self.rates = Rates(rates_of(settings))
        self.load_monitor = LoadMonitor(self.outbox.fullness)
        self.revocations = RevocationService(
            MongoRevocations(database), self.bus, timedelta(days=settings.revocation_days)
        )
        self.services = build_services(self.ports, self.membership_cache, self.load_monitor, self.revocations)
        self.command_bus = CommandBus(self.services)
        self.keys = SigningKeys(settings.jwt_secret, settings.jwt_jwks_url)
        self.authenticator = Authenticator(
            self.keys,
            self.revocations,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            short_keys=settings.environment == "development",
        )
        self.live = Live(
            manager=self.manager,
            protocols=protocols,
            ports=self.ports,
            services=self.services,
            membership_cache=self.membership_cache,
            load_monitor=self.load_monitor,
            spawn=self.background.spawn,
            presence_seconds=1.5 * RENEW_SECONDS,
        )
        self.snapshot_store = RedisSnapshotStore(connect(settings.redis_url))
        self.snapshots = SessionSnapshots(
            self.snapshot_store,
            self.live.sessions,
            protocols,
            head=self.live.streams.head,
            latest=self.live.fanout.latest,
        )
        self.recovery = ConnectionRecovery(
            self.snapshot_store,
            snapshots=self.snapshots,
            connection_manager=self.live.connection_manager,
            streams=self.live.streams,
            messages=self.ports.messages,
            people=self.ports.people,
            fanout=self.live.fanout,
            manager=self.manager,
        )
        self._stopping = False
        self.server = self._socketio()
        self.token_expiry_reaper = TokenExpiryReaper(
            sessions=self.live.sessions,
            room_membership=self.live.room_membership,
            server=self.server,
            holds=self.authenticator.is_valid,
            spawn=self.background.spawn,
        )
        self._connect_parts()
        self._show_sizes()

    def _connect_parts(self) -> None:
        self.bus.on_message = self.live.fanout.receive
        self.bus.on_restored = self.live.restore
        self.live.fanout.on_heartbeat = self.bus.beat_heard
        self.live.fanout.on_settled = self.backlog.confirm
        self.live.fanout.on_revoked = self.revocations.apply
        self.revocations.on_change = self.token_expiry_reaper.look_soon
        self.live.room_membership.on_change = self.snapshots.note

    def _show_sizes(self) -> None:
        gauges.show(
            sockets=lambda: len(self.server.eio.sockets),
            sessions=lambda: len(self.live.sessions),
            seats=self.manager.count_room_memberships,
            channels=lambda: self.bus.channels,
            streams=lambda: len(self.live.streams.ids()),
            users=lambda: len(self.membership_cache.users),
            conversations=lambda: len(self.membership_cache.conversations),
            leases=lambda: len(self.presence),
            typing=lambda: len(self.live.board),
            backlog=lambda: len(self.backlog),
            buckets=lambda: len(self.rates),
            outbox=lambda: self.outbox.waiting,
        )
        gauges.bus_deaf.set_function(lambda: self.bus.deaf)

    def application(self) -> web.Application:
        """The aiohttp application: Socket.IO, REST, health."""
        connection_limiter = ConnectionLimiter(self.rates, self.server.eio.sockets, self.settings.max_sockets)
        app = web.Application(
            client_max_size=self.settings.max_body,
            middlewares=[json_errors, reject_encoded_bodies, connection_limiter.middleware],
        )
        Cors(self.settings.cors_origins).install(app)
        safe_headers.install(app)
        self.server.attach(app)
        rest = RestApi(
            command_bus=self.command_bus,
            people=self.ports.people,
            authenticator=self.authenticator,
            token_in_query=self.settings.token_in_query,
            wait_for_commit=CommitWaiters(self.live.fanout, self.manager).settle,
            rates=self.rates,
        )
        for protocol in (*self.protocols, ADMINISTRATION):
            rest.mount(app, protocol)
        AttachmentRoutes(
            self.services.attachments,
            max_upload=self.settings.max_upload,
            authenticate=rest.authenticate,
            refuse=partial(error_response, REFUSAL),
            rates=self.rates,
        ).mount(app)
        health.add_routes(app, self.problems)
        documents.add_routes(
            app,
            self.protocols,
            token_in_query=self.settings.token_in_query,
            max_upload=self.settings.max_upload,
        )
        pages.add_routes(app)
        return app

    def _socketio(self) -> ChatServer:
        server = ChatServer(
            client_manager=self.manager,
            async_mode="aiohttp",
            async_handlers=False,
            serializer=ClientPacket,
            json=json,
            cors_credentials=False,
            max_http_buffer_size=self.settings.max_frame,
        )
        connection.install(server.eio, self.settings.backlog_limit)
        origins.install(server.eio, self.settings.cors_origins)
        server.eio.generate_id = self._socket_id
        for namespace in {v.namespace for v in self.protocols}:
            server.register_namespace(self._namespace(namespace))
        return server

    def _namespace(self, namespace: str) -> ChatNamespace:
        return ChatNamespace(
            namespace,
            tuple(v for v in self.protocols if v.namespace == namespace),
            authenticator=self.authenticator,
            token_in_query=self.settings.token_in_query,
            command_bus=self.command_bus,
            sessions=self.live.sessions,
            connection_manager=self.live.connection_manager,
            room_membership=self.live.room_membership,
            fanout=self.live.fanout,
            rates=self.rates,
            max_sockets_of_user=self.settings.max_sockets_of_user,
            recovery=self.recovery,
        )

    def _socket_id(self) -> str:
        """The node's name leads, so that nginx finds a polling client's node by its id."""
        return f"{self.settings.node_name}.{base64.urlsafe_b64encode(secrets.token_bytes(15)).decode()}"

    def start(self) -> None:
        """Start what runs beside the requests."""
        self.bus.start()
        self.outbox.start()
        self.presence.start()
        self.snapshots.start()
        self.background.repeat(COUNTS_SECONDS, self._say_counts)
        self.background.repeat(TYPING_SECONDS, self._say_lapsed)
        self.background.spawn(self._feel_pressure())
        self.background.repeat(SWEEP_SECONDS, IdleReaper(self.server.eio, self._has_joined).sweep)
        self.background.repeat(SWEEP_SECONDS, self._evict)
        self.background.repeat(REVOCATIONS_SECONDS, self.revocations.refresh)
        self.background.repeat(self.settings.jwt_jwks_seconds, self.keys.refresh)
        self.background.repeat(self.settings.audit_seconds, self.live.reconciler.audit_heads)
        self.background.repeat(self.settings.audit_seconds, self.live.reconciler.audit_members)
        self.background.repeat(LOOSE_SECONDS, self.services.attachments.delete_orphaned)

    async def stop(self) -> None:
        """Send the clients elsewhere, finish what was accepted, and end the rest."""
        self._stopping = True
        await connection.drain(self.server.eio, self.settings.drain_seconds)
        # Side by side: each may wait for a server that is away.
        await asyncio.gather(*map(self._end, (self.snapshots.stop, self.outbox.stop, self.presence.stop)))
        await self._end(self._stop_rest)

    async def _end(self, stop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await within(STOP_SECONDS, stop())
        except TimeoutError as late:
            log.error("something did not end in time", waits_for=str(late))
        except Exception:
            log.exception("something did not end well")

    async def _stop_rest(self) -> None:
        await self.snapshot_store.close()
        await self.background.stop()
        await self.live.streams.stop()
        await self.manager.stop()
        await self.bus.stop()

    async def problems(self) -> list[str]:
        """Why this node should get no clients now."""
        found = ["it is stopping"] if self._stopping else []
        if self.bus.deaf:
            found.append("the Redis bus is deaf")
        if not self.outbox.connected:
            found.append("RabbitMQ is away")
        if not await mongo.answers(self.database):
            found.append("MongoDB does not answer")
        return found

    def _has_joined(self, eio_sid: str) -> bool:
        return any(self.manager.sid_from_eio_sid(eio_sid, v.namespace) for v in self.protocols)

    async def _feel_pressure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + PRESSURE_SECONDS
            await asyncio.sleep(PRESSURE_SECONDS)
            self.load_monitor.observe_lag(loop.time() - due)
            if not self.load_monitor.is_overloaded:
                self.live.fanout.say_put_off()

    async def _evict(self) -> None:
        self.token_expiry_reaper.look()

    async def _say_counts(self) -> None:
        self.live.fanout.say_counts()

    async def _say_lapsed(self) -> None:
        self.live.fanout.say_lapsed()
