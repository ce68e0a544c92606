"""The ports that the services need, and the services built upon them."""

from collections.abc import Callable
from dataclasses import dataclass

from parley.gateway.core.ports import (
    Attachments,
    ClientBuffers,
    CommitBarrier,
    ConnectReads,
    Contracts,
    Conversations,
    EventPublisher,
    Files,
    MembershipChanges,
    Memberships,
    Messages,
    OrphanedAttachments,
    Outbox,
    People,
    Presence,
    Search,
    Sniffer,
    StorageSpace,
    UploadQuotas,
)
from parley.gateway.services.access import Access
from parley.gateway.services.administration import AdministrationService
from parley.gateway.services.attachments import AttachmentService
from parley.gateway.services.contracts import ContractService
from parley.gateway.services.conversations import ConversationService
from parley.gateway.services.history import HistoryService
from parley.gateway.services.messages import MessageService
from parley.gateway.services.presence import PresenceService
from parley.gateway.services.profiles import Profiles
from parley.gateway.services.receipts import ReceiptService
from parley.gateway.services.revocations import RevocationService
from parley.gateway.services.search import SearchService
from parley.gateway.services.upload_quota import UploadQuota
from parley.gateway.state.load_monitor import LoadMonitor
from parley.gateway.state.membership_cache import MembershipCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of one gateway."""

    outbox: Outbox
    event_publisher: EventPublisher
    presence: Presence
    conversations: Conversations
    memberships: Memberships
    membership_changes: MembershipChanges
    contracts: Contracts
    messages: Messages
    search: Search
    people: People
    connect_reads: ConnectReads
    attachments: Attachments
    orphaned_attachments: OrphanedAttachments
    files: Files
    sniffer: Callable[[], Sniffer]
    upload_quotas: UploadQuotas
    storage_space: StorageSpace
    client_buffers: ClientBuffers
    max_upload: int
    max_upload_of_day: int
    min_free_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services of one gateway."""

    access: Access
    attachments: AttachmentService
    messages: MessageService
    receipts: ReceiptService
    conversations: ConversationService
    contracts: ContractService
    history: HistoryService
    search: SearchService
    presence: PresenceService
    profiles: Profiles
    revocations: RevocationService
    administration: AdministrationService


def build_services(
    ports: Ports,
    membership_cache: MembershipCache,
    load_monitor: LoadMonitor,
    revocations: RevocationService,
    barrier: CommitBarrier,
) -> Services:
    """Build the services upon their ports; revocations come built, because authentication needs them too."""
    access = Access(membership_cache, ports.memberships, ports.messages)
    attachments = AttachmentService(
        access,
        ports.attachments,
        ports.files,
        messages=ports.messages,
        orphaned=ports.orphaned_attachments,
        sniffer=ports.sniffer,
        quota=UploadQuota(
            ports.upload_quotas, ports.storage_space, ports.max_upload_of_day, ports.min_free_share
        ),
        max_upload=ports.max_upload,
    )
    messages = MessageService(access, ports.outbox, attachments)
    conversations = ConversationService(
        access,
        ports.conversations,
        ports.memberships,
        ports.membership_changes,
        ports.contracts,
        ports.messages,
        ports.people,
        ports.event_publisher,
        barrier,
    )
    history = HistoryService(access, ports.messages, ports.conversations, ports.people)
    return Services(
        access=access,
        attachments=attachments,
        messages=messages,
        receipts=ReceiptService(access, ports.outbox, ports.conversations, ports.messages, membership_cache),
        conversations=conversations,
        contracts=ContractService(access, ports.contracts, ports.conversations, conversations, messages),
        history=history,
        search=SearchService(access, ports.memberships, ports.search, history),
        presence=PresenceService(
            access, ports.memberships, ports.presence, ports.event_publisher, load_monitor
        ),
        profiles=Profiles(ports.people, ports.event_publisher),
        revocations=revocations,
        administration=AdministrationService(ports.client_buffers),
    )
