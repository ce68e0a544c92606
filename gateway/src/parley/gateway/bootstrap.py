"""The composition root: puts the groups of parts of a node together, and lists what starts and stops."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from parley.gateway import gauges
from parley.gateway.adapters.redis.presence import RENEW_SECONDS
from parley.gateway.application import build_application
from parley.gateway.background import Background
from parley.gateway.builders import build_adapters, build_domain, build_recovery
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import Files
from parley.gateway.lifecycle import Component, Lifecycle
from parley.gateway.live.audits import AUDIT_STEP_SECONDS
from parley.gateway.live.composition import (
    LiveContext,
    build_delivery,
    build_live,
)
from parley.gateway.live.removal_watch import WATCH_SECONDS
from parley.gateway.memory import MemoryTrimmer
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.protocols.registry import PROTOCOLS
from parley.gateway.pubsub.bus import Subscriber
from parley.gateway.recovery.session_snapshots import SessionSnapshots
from parley.gateway.settings import Settings
from parley.gateway.sockets.composition import SocketContext, build_sockets
from parley.gateway.state.hop_delays import BUS, INBOX, LOOP
from parley.gateway.transport.draining import drain_connections
from parley.shared import metrics, mongo
from parley.shared.reloading import ReloadRefused
from parley.shared.tracing import Tracer

UNREAD_SECONDS = 0.1
TYPING_SECONDS = 0.5
LOAD_SECONDS = 0.05
REAP_SECONDS = 1.0
TRIM_SECONDS = 5.0
LATER_TOKENS_SECONDS = 1.0
DOUBTED_SECONDS = 2.0
"""How soon a node notices that the event of a state of presence, which it has read, was lost."""
REVOCATIONS_SECONDS = 2.0
"""How soon a node learns of a revocation that the bus did not bring."""
ORPHANED_FILES_SECONDS = 3_600.0
SPACE_SECONDS = 15.0
CLOSE_SECONDS = 2.0
DRAIN_MARGIN_SECONDS = 3.0
"""Beyond the drain itself: clients that are owed answers are waited for."""


class Gateway:
    """One node: all its parts, and their life cycle."""

    def __init__(
        self,
        settings: Settings,
        database: Any,
        files: Files,
        protocols: tuple[ClientProtocol, ...] = PROTOCOLS,
        tracer: Tracer | None = None,
    ) -> None:
        self.settings = settings
        self.protocols = protocols
        self.tracer = tracer
        self.background = Background()
        self.adapters = build_adapters(settings, database, files, self.background.spawn, tracer)
        self.domain = build_domain(settings, self.adapters)
        context = self._live_context()
        self.delivery = build_delivery(context)
        self.snapshots = SessionSnapshots(
            self.adapters.snapshot_store,
            self.delivery.sessions,
            self.delivery.session_rooms,
            protocols,
            self.delivery.streams,
            self.delivery.delivery_log,
        )
        self.live = build_live(context, self.delivery, observer=self.snapshots)
        self.recovery = build_recovery(
            self.adapters, self.domain.answers, self.delivery, self.live, self.snapshots
        )
        self.sockets = build_sockets(self._socket_context())
        self.adapters.reads.linger_while(lambda: self.sockets.connects.is_full or self.sockets.reads.is_full)
        self.lifecycle = Lifecycle(self._stages())
        self._show_sizes()

    def application(self) -> web.Application:
        """Return the aiohttp application: Socket.IO, REST, pages, health."""
        return build_application(
            self.settings,
            self.protocols,
            server=self.sockets.server,
            rates=self.domain.rates,
            audience_costs=self.domain.audience_costs,
            answers=self.domain.answers,
            authenticator=self.domain.authenticator,
            command_bus=self.domain.command_bus,
            attachments=self.domain.services.attachments,
            profiles=self.domain.services.profiles,
            commit_waiters=self.domain.commit_waiters,
            problems=self.problems,
            tracer=self.tracer,
        )

    async def reload(self, settings: Settings) -> None:
        """Trust the signing keys of new settings from now on.

        Raises:
            ReloadRefused: The keys cannot be fetched; those of before stay trusted.
        """
        secrets = (settings.jwt_secret, settings.jwt_secret_previous)
        try:
            await self.domain.keys.replace(secrets, settings.jwt_jwks_url)
        except Unavailable as error:
            raise ReloadRefused(f"{error} The keys of before stay trusted.") from error

    def start(self) -> None:
        """Start what runs beside the requests."""
        self.lifecycle.start()

    async def stop(self) -> None:
        """Send the clients to other nodes, finish what was accepted, and stop the rest."""
        await self.lifecycle.stop()

    async def problems(self) -> list[str]:
        """Return the reasons for which this node should get no clients now."""
        found = ["it is stopping"] if self.lifecycle.stopping else []
        if self.adapters.bus.stale:
            found.append("the Redis bus is stale")
        if not self.adapters.outbox.connected:
            found.append("RabbitMQ is away")
        database_answers = await mongo.answers(self.adapters.database)
        metrics.database_connected.set(database_answers)
        if not database_answers:
            found.append("MongoDB does not answer")
        return found

    def _live_context(self) -> LiveContext:
        return LiveContext(
            bus=self.adapters.bus,
            manager=self.adapters.manager,
            admission=self.adapters.admission,
            protocols=self.protocols,
            ports=self.adapters.ports,
            services=self.domain.services,
            commit_waiters=self.domain.commit_waiters,
            membership_cache=self.domain.membership_cache,
            load_monitor=self.domain.load_monitor,
            spawn=self.background.spawn,
            presence_seconds=1.5 * RENEW_SECONDS,
            presence_members=self.settings.presence_members,
            audit_seconds=self.settings.audit_seconds,
            tracer=self.tracer,
        )

    def _socket_context(self) -> SocketContext:
        return SocketContext(
            settings=self.settings,
            protocols=self.protocols,
            manager=self.adapters.manager,
            authenticator=self.domain.authenticator,
            command_bus=self.domain.command_bus,
            profiles=self.domain.services.profiles,
            revocations=self.domain.services.revocations,
            rates=self.domain.rates,
            audience_costs=self.domain.audience_costs,
            answers=self.domain.answers,
            delivery=self.delivery,
            live=self.live,
            recovery=self.recovery,
            snapshots=self.snapshots,
            membership_cache=self.domain.membership_cache,
            admission=self.adapters.admission,
            inbox_delay=self.adapters.shedder.delays.inbox,
            spawn=self.background.spawn,
            tracer=self.tracer,
        )

    def _stages(self) -> Sequence[Sequence[Component]]:
        """Return what starts, in order, and what stops, stage by stage."""
        adapters, background = self.adapters, self.background
        drain_seconds = self.settings.drain_seconds
        return [
            [Component(name="clients", stop=self._drain, stop_seconds=drain_seconds + DRAIN_MARGIN_SECONDS)],
            [
                Component(name="snapshots", start=self.snapshots.start, stop=self.snapshots.stop),
                Component(name="outbox", start=adapters.outbox.start, stop=adapters.outbox.stop),
                Component(name="presence", start=adapters.presence.start, stop=adapters.presence.stop),
            ],
            [
                Component(
                    name="background",
                    start=self._start_background,
                    stop=background.stop,
                    stop_seconds=CLOSE_SECONDS,
                ),
                Component(name="layout", start=adapters.layout_watch.start, stop=adapters.layout_watch.stop),
                Component(name="streams", stop=self.delivery.streams.stop, stop_seconds=CLOSE_SECONDS),
            ],
            [
                Component(
                    name="bus", start=self._start_bus, stop=adapters.bus.stop, stop_seconds=CLOSE_SECONDS
                ),
                Component(
                    name="snapshot_store", stop=adapters.snapshot_store.close, stop_seconds=CLOSE_SECONDS
                ),
                Component(name="manager", stop=adapters.manager.stop, stop_seconds=CLOSE_SECONDS),
                Component(name="reads", stop=self._close_reads, stop_seconds=CLOSE_SECONDS),
            ],
        ]

    def _start_bus(self) -> None:
        self.adapters.bus.start(
            Subscriber(
                on_message=self.live.router.receive,
                on_reconnect=self.live.reconciler.resynchronize,
            )
        )

    async def _close_reads(self) -> None:
        self.adapters.reads.close()
        self.adapters.people.close()
        await self.adapters.connect_reads.close()

    def _start_background(self) -> None:
        repeat, live, services = self.background.repeat, self.live, self.domain.services
        repeat(UNREAD_SECONDS, self.delivery.unread_counts.broadcast_in_turns)
        repeat(TYPING_SECONDS, live.typing_events.expire)
        repeat(REAP_SECONDS, self.sockets.idle_reaper.sweep)
        repeat(REAP_SECONDS, self.sockets.replaced_history_reaper.sweep)
        repeat(REAP_SECONDS, self.domain.rates.forget_full)
        repeat(TRIM_SECONDS, MemoryTrimmer(self.sockets.server.eio.count_sessions).check)
        repeat(LATER_TOKENS_SECONDS, services.profiles.store_later_tokens)
        repeat(DOUBTED_SECONDS, live.presence_tracker.check_doubted)
        repeat(REVOCATIONS_SECONDS, services.revocations.refresh)
        repeat(ORPHANED_FILES_SECONDS, services.attachments.delete_orphaned)
        repeat(SPACE_SECONDS, services.attachments.refresh_space)
        repeat(self.settings.jwt_jwks_seconds, self.domain.keys.refresh)
        repeat(WATCH_SECONDS, live.removal_watch.check)
        repeat(AUDIT_STEP_SECONDS, live.audits.check_some_heads)
        repeat(AUDIT_STEP_SECONDS, live.audits.check_some_memberships)
        repeat(self.settings.audit_seconds, live.audits.check_joins)
        self.background.spawn(self.sockets.token_expiry_reaper.run())
        self.background.spawn(self._watch_load())

    async def _watch_load(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOAD_SECONDS
            await asyncio.sleep(LOAD_SECONDS)
            lag = loop.time() - due
            self.domain.load_monitor.observe_lag(lag)
            self.adapters.shedder.observe(lag)
            self.live.deferred_presence.flush()

    async def _drain(self) -> None:
        await drain_connections(self.sockets.server.eio.sockets.values(), self.settings.drain_seconds)
        await self.live.connection_manager.wait_for_departures()

    def _show_sizes(self) -> None:
        gauges.gateway_info.info({"name": self.settings.node_name})
        adapters, cache = self.adapters, self.domain.membership_cache
        gauges.show(
            sockets=lambda: len(self.sockets.server.eio.sockets),
            sessions=lambda: len(self.delivery.sessions),
            seats=adapters.manager.count_room_memberships,
            channels=lambda: adapters.bus.channels,
            streams=lambda: len(self.delivery.streams.ids()),
            users=lambda: sum(user.sockets > 0 for user in cache.users.values()),
            conversations=lambda: len(cache.conversations),
            leases=lambda: len(adapters.presence),
            typing=lambda: len(self.live.typing_board),
            backlog=lambda: len(adapters.admission),
            answer_bytes=lambda: len(self.domain.answers),
            buckets=lambda: len(self.domain.rates),
            outbox=lambda: adapters.outbox.waiting,
        )
        gauges.answer_bytes.set_function(lambda: len(self.domain.answers))
        gauges.show_waiting(connects=self.sockets.connects.__len__, reads=self.sockets.reads.__len__)
        delays = adapters.shedder.delays.seconds
        gauges.show_delays(
            loop=lambda: delays[LOOP],
            inbox=lambda: delays[INBOX],
            bus=lambda: delays[BUS],
            outbox=adapters.outbox.oldest_age,
        )
        metrics.partitions.set_function(lambda: adapters.outbox.partitions.count)
        gauges.storage_free.set_function(lambda: self.domain.services.attachments.free_share)
        engine_sessions = self.sockets.server.eio.sockets
        gauges.show_transports(
            websocket=lambda: sum(each.writer is not None for each in engine_sessions.values()),
            polling=lambda: sum(each.writer is None for each in engine_sessions.values()),
        )
        gauges.bus_stale.set_function(lambda: adapters.bus.stale)
