"""Puts the gateway together: the only module that knows all its parts."""

import asyncio
import base64
import re
import secrets
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from gateway import gauges
from gateway.adapters import archive_mongo
from gateway.adapters.archive_members import MongoContracts, MongoMemberships, MongoPeople
from gateway.adapters.archive_mongo import MongoConversations, MongoMessages
from gateway.adapters.archive_search import MongoSearch
from gateway.adapters.attachments_mongo import MongoAttachments
from gateway.adapters.outbox_rabbit import RabbitOutbox
from gateway.adapters.presence_redis import RENEW_SECONDS, RedisPresence
from gateway.adapters.recovery_redis import RedisKeepsakes
from gateway.adapters.revocations_mongo import MongoRevocations
from gateway.adapters.sniff import ByteSniffer
from gateway.auth import Authenticator
from gateway.background import Background
from gateway.core import commands as c
from gateway.core.backlog import Backlog
from gateway.core.chat import Chat, World
from gateway.core.errors import ChatError, Conflict, NotFound, Unavailable
from gateway.core.ports import Files
from gateway.core.pressure import Pressure
from gateway.core.rates import Rates
from gateway.core.results import Deferred
from gateway.core.revocations import RevocationService
from gateway.core.roster import Roster
from gateway.core.stream import Streams
from gateway.core.typing_board import TypingBoard
from gateway.describe import documents
from gateway.keys import Keys
from gateway.redis_client import connect
from gateway.rest import safe_headers
from gateway.rest.attachments import AttachmentPaths
from gateway.rest.cors import Cors
from gateway.rest.errors import json_errors
from gateway.rest.mount import Rest, refusal
from gateway.rest.packed import refuse_packed
from gateway.settings import Settings, check_attachments, check_secret, rates_of
from gateway.sockets import connection, json, origins
from gateway.sockets.auditor import Auditor
from gateway.sockets.bus import Bus
from gateway.sockets.doorkeeper import Doorkeeper
from gateway.sockets.evictor import Evictor
from gateway.sockets.fanout import FanOut
from gateway.sockets.following import Following
from gateway.sockets.keeper import Keeper
from gateway.sockets.lobby import Lobby
from gateway.sockets.namespace import ChatNamespace
from gateway.sockets.newcomers import Newcomers
from gateway.sockets.packets import ClientPacket
from gateway.sockets.recovery import Recovery
from gateway.sockets.redis_manager import RedisManager
from gateway.sockets.seats import Seats
from gateway.sockets.server import ChatServer
from gateway.sockets.sessions import Sessions
from gateway.sockets.sweeper import Sweeper
from gateway.vocabularies.administration import ADMINISTRATION
from gateway.vocabularies.refusal import REFUSAL
from gateway.vocabularies.spoken import VOCABULARIES
from gateway.vocabularies.vocabulary import Vocabulary
from gateway.web import pages
from shared import health, rooms
from shared.events import MemberRemoved, RecordRefused
from shared.partitions import Partitions
from shared.settings import SettingsError

log = structlog.get_logger()

COUNTS_SECONDS = 0.1
LOOSE_SECONDS = 3_600.0
SWEEP_SECONDS = 1.0
REVOCATIONS_SECONDS = 2.0
"""How soon a node learns of a revocation that the bus did not bring."""
PRESENCE_SECONDS = 1.5 * RENEW_SECONDS
TYPING_SECONDS = 0.5
SETTLE_SECONDS = 0.5
PRESSURE_SECONDS = 0.25
ORIGIN = r"[a-z][a-z0-9+.-]*://[^/*\s]+"
"""As browsers write it: no path, not even a slash."""
REFUSALS: dict[str, type[ChatError]] = {kind.code: kind for kind in (NotFound, Conflict)}
"""What a worker's refusals are to whoever waits for one."""


class Gateway:
    """All parts of one node, wired."""

    def __init__(
        self,
        settings: Settings,
        database: Any,
        files: Files,
        vocabularies: tuple[Vocabulary, ...] = VOCABULARIES,
    ) -> None:
        _check(settings)
        self.vocabularies = vocabularies
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
        self.backlog = Backlog(
            self.outbox, partitions.of, partitions.count, within=settings.store_within_seconds
        )
        self.outbox.patience = self.backlog.patience
        self.presence = RedisPresence(connect(settings.redis_url), self.bus)
        self.roster = Roster()
        self.board = TypingBoard()
        self.sessions = Sessions()
        memberships = MongoMemberships(database)
        attachments = MongoAttachments(database)
        self.world = World(
            outbox=self.backlog,
            announcer=self.bus,
            presence=self.presence,
            conversations=MongoConversations(database),
            memberships=memberships,
            membership_changes=memberships,
            contracts=MongoContracts(database),
            messages=MongoMessages(database),
            search=MongoSearch(database),
            people=MongoPeople(database),
            attachments=attachments,
            loose=attachments,
            files=files,
            sniffer=ByteSniffer,
            max_upload=settings.max_upload,
        )
        self.rates = Rates(rates_of(settings))
        self.pressure = Pressure(self.outbox.fullness)
        self.revocations = RevocationService(
            MongoRevocations(database), self.bus, timedelta(days=settings.revocation_days)
        )
        self.chat = Chat(self.world, self.roster, self.pressure, {c.Revoke: self.revocations.revoke})
        self.keys = Keys(settings.jwt_secret, settings.jwt_jwks_url)
        self.authenticator = Authenticator(
            self.keys,
            self.revocations,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            short_keys=settings.environment == "development",
        )
        self.fanout = FanOut(
            manager=self.manager,
            vocabularies=vocabularies,
            roster=self.roster,
            board=self.board,
            passed_on=self.chat.receipts.passed_on,
            refused=self.chat.messages.refused,
            pressure=self.pressure,
        )
        self.streams = Streams(self.world.messages, self.world.people, self.fanout.pass_on)
        self.seats = Seats(self.manager, self.sessions)
        self.following = Following(
            sessions=self.sessions,
            seats=self.seats,
            roster=self.roster,
            memberships=self.world.memberships,
            presence=self.presence,
            tell=self.fanout.tell_each,
            say=self.fanout.say,
        )
        self.lobby = Lobby(
            sessions=self.sessions,
            seats=self.seats,
            roster=self.roster,
            streams=self.streams,
            access=self.chat.access,
            conversations=self.world.conversations,
            memberships=self.world.memberships,
            people=self.world.people,
            presence=self.presence,
            contacts=self.chat.presence,
            newcomers=Newcomers(self.streams, self.world.messages, self.world.people, self.fanout),
            following=self.following,
            tell=self.fanout.say,
        )
        self.keepsakes = RedisKeepsakes(connect(settings.redis_url))
        self.keeper = Keeper(
            self.keepsakes,
            self.sessions,
            vocabularies,
            head=self.streams.head,
            latest=self.fanout.latest,
        )
        self.seats.on_change = self.keeper.note
        self.recovery = Recovery(
            self.keepsakes,
            keeper=self.keeper,
            lobby=self.lobby,
            streams=self.streams,
            messages=self.world.messages,
            people=self.world.people,
            fanout=self.fanout,
            manager=self.manager,
        )
        self.auditor = Auditor(
            lobby=self.lobby,
            following=self.following,
            sessions=self.sessions,
            roster=self.roster,
            streams=self.streams,
            conversations=self.world.conversations,
            memberships=self.world.memberships,
            messages=self.world.messages,
            fanout=self.fanout,
        )
        self.background = Background()
        self._stopping = False
        self.server = self._socketio()
        self.evictor = Evictor(
            sessions=self.sessions,
            seats=self.seats,
            server=self.server,
            holds=self.authenticator.holds,
            spawn=self.background.spawn,
        )
        self._connect_parts()
        self._show_sizes()

    def _connect_parts(self) -> None:
        self.bus.on_message = self.fanout.receive
        self.bus.on_restored = self._restore
        self.manager.on_forgotten = self.following.unheard
        self.fanout.on_presence = self.following.heard
        self.fanout.streams = self.streams
        self.fanout.on_revoked = self.revocations.heard
        self.revocations.on_change = self.evictor.look_soon
        self.fanout.on_heartbeat = self.bus.beat_heard
        self.fanout.on_settled = self.backlog.settled
        self.fanout.on_created = lambda user_id, event: self.background.spawn(
            self.lobby.admit(user_id, event)
        )
        self.fanout.on_added = lambda event: self.background.spawn(self.following.added(event))
        self.fanout.on_removed = self._removed
        self.fanout.stays = self.lobby.stays
        self.fanout.on_control = lambda control: self.background.spawn(self.manager.obey(control))

    async def _restore(self) -> None:
        await self.auditor.restore()
        self.background.spawn(self._make_up_presence())

    async def _make_up_presence(self) -> None:
        # A Redis that has forgotten all is told anew by every node within this time.
        await asyncio.sleep(PRESENCE_SECONDS)
        try:
            await self.following.make_up()
        except Unavailable as error:
            log.warning("some may be thought to be there, or not", error=str(error))

    def _removed(self, event: MemberRemoved) -> None:
        self.lobby.expel(event.conversation_id, event.user_id)
        self.background.spawn(self._part(event))

    async def _part(self, event: MemberRemoved) -> None:
        try:
            await self.following.parted(event.conversation_id, event.user_id)
        except Unavailable as error:
            log.warning("some still hear of each other", user=event.user_id, error=str(error))

    def _show_sizes(self) -> None:
        gauges.show(
            sockets=lambda: len(self.server.eio.sockets),
            sessions=lambda: len(self.sessions),
            seats=self.manager.count_seats,
            channels=lambda: self.bus.channels,
            streams=lambda: len(self.streams.ids()),
            users=lambda: len(self.roster.users),
            conversations=lambda: len(self.roster.conversations),
            leases=lambda: len(self.presence),
            typing=lambda: len(self.board),
            backlog=lambda: len(self.backlog),
            buckets=lambda: len(self.rates),
            outbox=lambda: self.outbox.waiting,
        )
        gauges.bus_deaf.set_function(lambda: self.bus.deaf)

    def application(self) -> web.Application:
        """The aiohttp application: Socket.IO, REST, health."""
        doorkeeper = Doorkeeper(self.rates, self.server.eio.sockets, self.settings.max_sockets)
        app = web.Application(
            client_max_size=self.settings.max_body,
            middlewares=[json_errors, refuse_packed, doorkeeper.middleware],
        )
        Cors(self.settings.cors_origins).guard(app)
        safe_headers.guard(app)
        self.server.attach(app)
        rest = Rest(
            chat=self.chat,
            people=self.world.people,
            authenticator=self.authenticator,
            token_in_query=self.settings.token_in_query,
            settle=self._settle,
            rates=self.rates,
        )
        for vocabulary in (*self.vocabularies, ADMINISTRATION):
            rest.mount(app, vocabulary)
        AttachmentPaths(
            self.chat.attachments,
            max_upload=self.settings.max_upload,
            asker=rest.asker,
            refuse=partial(refusal, REFUSAL),
            rates=self.rates,
        ).mount(app)
        health.add_routes(app, self.problems)
        documents.add_routes(
            app,
            self.vocabularies,
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
        for namespace in {v.namespace for v in self.vocabularies}:
            server.register_namespace(self._namespace(namespace))
        return server

    def _namespace(self, namespace: str) -> ChatNamespace:
        return ChatNamespace(
            namespace,
            tuple(v for v in self.vocabularies if v.namespace == namespace),
            authenticator=self.authenticator,
            token_in_query=self.settings.token_in_query,
            chat=self.chat,
            sessions=self.sessions,
            lobby=self.lobby,
            seats=self.seats,
            fanout=self.fanout,
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
        self.keeper.start()
        self.background.repeat(COUNTS_SECONDS, self._say_counts)
        self.background.repeat(TYPING_SECONDS, self._say_lapsed)
        self.background.spawn(self._feel_pressure())
        self.background.repeat(SWEEP_SECONDS, Sweeper(self.server.eio, self._has_joined).sweep)
        self.background.repeat(SWEEP_SECONDS, self._evict)
        self.background.repeat(REVOCATIONS_SECONDS, self.revocations.look)
        self.background.repeat(self.settings.jwt_jwks_seconds, self.keys.refresh)
        self.background.repeat(self.settings.audit_seconds, self.auditor.audit_heads)
        self.background.repeat(self.settings.audit_seconds, self.auditor.audit_members)
        self.background.repeat(LOOSE_SECONDS, self.chat.attachments.sweep)

    async def stop(self) -> None:
        """Send the clients elsewhere, finish what was accepted, and end the rest."""
        self._stopping = True
        await connection.drain(self.server.eio, self.settings.drain_seconds)
        # Side by side: each may wait for a server that is away.
        await asyncio.gather(self.keeper.stop(), self.outbox.stop(), self.presence.stop())
        await self.keepsakes.close()
        await self.background.stop()
        await self.streams.stop()
        await self.manager.stop()
        await self.bus.stop()

    async def problems(self) -> list[str]:
        """Why this node should get no clients now."""
        found = ["it is stopping"] if self._stopping else []
        if self.bus.deaf:
            found.append("the Redis bus is deaf")
        if not self.outbox.connected:
            found.append("RabbitMQ is away")
        try:
            await archive_mongo.ping(self.database)
        except Unavailable:
            found.append("MongoDB does not answer")
        return found

    async def _settle(self, deferred: Deferred) -> None:
        with self.fanout.awaiting(deferred.record_id) as heard:
            try:
                places = [rooms.conversation(deferred.conversation_id), rooms.user(deferred.user_id)]
                await self.manager.prepare(places)
                event = await asyncio.wait_for(asyncio.shield(heard), SETTLE_SECONDS)
            except (Unavailable, TimeoutError):
                log.debug("cannot wait for what was accepted")
                return
        if isinstance(event, RecordRefused):
            raise REFUSALS.get(event.code, ChatError)(event.reason)

    def _has_joined(self, eio_sid: str) -> bool:
        return any(self.manager.sid_from_eio_sid(eio_sid, v.namespace) for v in self.vocabularies)

    async def _feel_pressure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + PRESSURE_SECONDS
            await asyncio.sleep(PRESSURE_SECONDS)
            self.pressure.felt(loop.time() - due)
            if not self.pressure.high:
                self.fanout.say_put_off()

    async def _evict(self) -> None:
        self.evictor.look()

    async def _say_counts(self) -> None:
        self.fanout.say_counts()

    async def _say_lapsed(self) -> None:
        self.fanout.say_lapsed()


def _check(settings: Settings) -> None:
    check_attachments(settings)
    check_secret(settings)
    if not re.fullmatch(r"[a-z0-9-]{1,32}", settings.node_name):
        raise SettingsError("NODE_NAME must be 1 to 32 lower-case letters, digits and dashes.")
    if "*" in settings.cors_origins:
        raise SettingsError("CORS_ORIGINS must list origins: * would let any page act for its visitors.")
    if wrong := [origin for origin in settings.cors_origins if not re.fullmatch(ORIGIN, origin)]:
        raise SettingsError(f"CORS_ORIGINS must list origins as https://chat.example:8443, not {wrong[0]!r}.")
