"""Builds the groups of parts that a node is made of, each as a frozen value."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from parley.gateway.adapters.call_batches import Spawn
from parley.gateway.adapters.content_sniffer import ByteSniffer
from parley.gateway.adapters.mongo.attachments import MongoAttachments
from parley.gateway.adapters.mongo.connect_reads import MongoConnectReads
from parley.gateway.adapters.mongo.contracts import MongoContracts
from parley.gateway.adapters.mongo.conversations import MongoConversations
from parley.gateway.adapters.mongo.memberships import MongoMemberships
from parley.gateway.adapters.mongo.messages import MongoMessages
from parley.gateway.adapters.mongo.people import MongoPeople
from parley.gateway.adapters.mongo.revocations import MongoRevocations
from parley.gateway.adapters.mongo.search import MongoSearch
from parley.gateway.adapters.mongo.shared_reads import SharedReads
from parley.gateway.adapters.mongo.upload_quotas import MongoStorageSpace, MongoUploadQuotas, UnknownSpace
from parley.gateway.adapters.rabbitmq.layout_watch import LayoutWatch
from parley.gateway.adapters.rabbitmq.outbox import RabbitOutbox
from parley.gateway.adapters.redis.presence import RedisPresence
from parley.gateway.adapters.redis.presence_store import PresenceStore
from parley.gateway.adapters.redis.snapshots import RedisSnapshotStore
from parley.gateway.adapters.traced_outbox import TracedOutbox
from parley.gateway.auth import Authenticator
from parley.gateway.core.ports import Files
from parley.gateway.live.commit_barrier import RecordBarrier
from parley.gateway.live.commit_waiters import CommitWaiters
from parley.gateway.live.composition import (
    DeliveryParts,
    LiveParts,
)
from parley.gateway.pubsub.bus import Bus
from parley.gateway.pubsub.client_buffers import ClientBuffers
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.recovery.connection_recovery import ConnectionRecovery
from parley.gateway.recovery.session_snapshots import SessionSnapshots
from parley.gateway.services.audience import AudienceCosts
from parley.gateway.services.command_bus import CommandBus
from parley.gateway.services.composition import Ports, Services, build_services
from parley.gateway.services.epochs import Epochs
from parley.gateway.services.revocations import RevocationService
from parley.gateway.settings import Settings, rates_of
from parley.gateway.signing_keys import SigningKeys
from parley.gateway.state.admission import AdmissionController
from parley.gateway.state.answer_budget import AnswerBudget
from parley.gateway.state.hop_delays import HopDelays
from parley.gateway.state.load_monitor import LoadMonitor
from parley.gateway.state.load_shedder import LoadShedder
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.state.partition_windows import PartitionWindows
from parley.gateway.state.rates import Rates
from parley.shared.layouts import Layouts
from parley.shared.partitions import Partitions
from parley.shared.presence import buckets
from parley.shared.redis import open_commands
from parley.shared.tracing import Tracer


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """The connections of a node to its servers, and the ports built upon them."""

    database: Any
    bus: Bus
    manager: RedisManager
    outbox: RabbitOutbox
    layout_watch: LayoutWatch
    admission: AdmissionController
    shedder: LoadShedder
    presence: RedisPresence
    reads: SharedReads
    connect_reads: MongoConnectReads
    people: MongoPeople
    snapshot_store: RedisSnapshotStore
    ports: Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The parts of a node that know no sockets: services, limits, tokens."""

    membership_cache: MembershipCache
    load_monitor: LoadMonitor
    rates: Rates
    audience_costs: AudienceCosts
    answers: AnswerBudget
    services: Services
    commit_waiters: CommitWaiters
    command_bus: CommandBus
    keys: SigningKeys
    authenticator: Authenticator


def build_adapters(
    settings: Settings, database: Any, files: Files, spawn: Spawn, tracer: Tracer | None
) -> Adapters:
    """Build the adapters; nothing is connected before the life cycle starts."""
    bus = Bus(settings.redis_url, settings.node_name)
    manager = RedisManager(bus)
    partitions = Partitions.first(settings.partitions)
    windows = PartitionWindows(partitions.count, settings.store_within_seconds)

    def resize(partitions: Partitions) -> None:
        windows.resize(partitions.count)
        shedder.resize(partitions.count)

    outbox = RabbitOutbox(
        settings.rabbitmq_url,
        partitions,
        limit=settings.outbox_limit,
        name=settings.node_name,
        linger=windows.linger,
        on_partitions=resize,
    )
    layout_watch = LayoutWatch(Layouts(database), outbox, settings.node_name)
    outbox.confirm_partitions = layout_watch.check
    hop_delays = HopDelays(lambda: bus.delay)
    shedder = LoadShedder(
        hop_delays, windows.__len__, partitions.count, outbox.unconfirmed, outbox.unconfirmed_age
    )
    published = outbox if tracer is None else TracedOutbox(outbox, tracer)
    admission = AdmissionController(published, outbox.partition_of, windows, shedder, outbox.refusal)
    leases = PresenceStore(open_commands(settings.redis_url), buckets(settings.redis_url))
    presence = RedisPresence(leases, bus)
    reads, connect_reads = SharedReads(database, spawn), MongoConnectReads(database, spawn)
    people = MongoPeople(database, reads, spawn)
    return Adapters(
        database=database,
        bus=bus,
        manager=manager,
        outbox=outbox,
        layout_watch=layout_watch,
        admission=admission,
        shedder=shedder,
        presence=presence,
        reads=reads,
        connect_reads=connect_reads,
        people=people,
        snapshot_store=RedisSnapshotStore(open_commands(settings.redis_url)),
        ports=_ports(
            settings,
            database,
            files,
            bus,
            manager,
            admission,
            presence,
            reads,
            connect_reads,
            people,
        ),
    )


def _ports(
    settings: Settings,
    database: Any,
    files: Files,
    bus: Bus,
    manager: RedisManager,
    admission: AdmissionController,
    presence: RedisPresence,
    reads: SharedReads,
    connect_reads: MongoConnectReads,
    people: MongoPeople,
) -> Ports:
    memberships, attachments = MongoMemberships(database, reads), MongoAttachments(database)
    return Ports(
        outbox=admission,
        event_publisher=bus,
        presence=presence,
        conversations=MongoConversations(database, reads),
        memberships=memberships,
        membership_changes=memberships,
        contracts=MongoContracts(database),
        messages=MongoMessages(database, reads),
        search=MongoSearch(database),
        people=people,
        connect_reads=connect_reads,
        attachments=attachments,
        orphaned_attachments=attachments,
        files=files,
        sniffer=ByteSniffer,
        upload_quotas=MongoUploadQuotas(database),
        storage_space=MongoStorageSpace(database) if settings.attachments == "gridfs" else UnknownSpace(),
        client_buffers=ClientBuffers(manager),
        max_upload_of_day=settings.max_upload_of_day,
        min_free_share=settings.min_free_storage / 100,
        max_upload=settings.max_upload,
    )


def build_domain(settings: Settings, adapters: Adapters) -> Domain:
    """Build the services, and what decides who may use them how often."""
    rates = Rates(rates_of(settings))
    membership_cache, load_monitor = MembershipCache(), LoadMonitor(adapters.outbox.fullness)
    revocations = RevocationService(
        MongoRevocations(adapters.database), adapters.bus, timedelta(days=settings.revocation_days)
    )
    commit_waiters = CommitWaiters(adapters.manager)
    barrier = RecordBarrier(adapters.admission, commit_waiters, adapters.manager)
    services = build_services(adapters.ports, membership_cache, load_monitor, revocations, barrier)
    keys = SigningKeys((settings.jwt_secret, settings.jwt_secret_previous), settings.jwt_jwks_url)
    authenticator = Authenticator(
        keys,
        revocations,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        short_keys=settings.environment == "development",
        leeway=settings.jwt_leeway_seconds,
    )
    return Domain(
        membership_cache=membership_cache,
        load_monitor=load_monitor,
        rates=rates,
        audience_costs=AudienceCosts(rates, membership_cache, lambda: adapters.bus.gateways),
        answers=AnswerBudget(),
        services=services,
        commit_waiters=commit_waiters,
        command_bus=CommandBus(services),
        keys=keys,
        authenticator=authenticator,
    )


def build_recovery(
    adapters: Adapters,
    answers: AnswerBudget,
    delivery: DeliveryParts,
    live: LiveParts,
    snapshots: SessionSnapshots,
) -> ConnectionRecovery:
    """Build what lets a client continue on a new socket."""
    return ConnectionRecovery(
        adapters.snapshot_store,
        snapshots=snapshots,
        connection_manager=live.connection_manager,
        sessions=delivery.sessions,
        session_rooms=delivery.session_rooms,
        streams=delivery.streams,
        messages=adapters.ports.messages,
        people=adapters.ports.people,
        broadcaster=delivery.broadcaster,
        manager=adapters.manager,
        epochs=Epochs(adapters.ports.conversations, adapters.ports.messages),
        answers=answers,
    )
