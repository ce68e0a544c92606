"""The core as one thing: give it a person's command, get what it comes to."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from parley.gateway.core import commands as c
from parley.gateway.core.ports import (
    Attachments,
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
)
from parley.gateway.services.access import Access
from parley.gateway.services.attachments import AttachmentService
from parley.gateway.services.contracts import ContractService
from parley.gateway.services.conversations import ConversationService
from parley.gateway.services.history import HistoryService
from parley.gateway.services.messages import MessageService
from parley.gateway.services.presence import PresenceService
from parley.gateway.services.receipts import ReceiptService
from parley.gateway.services.search import SearchService
from parley.gateway.state.load_monitor import LoadMonitor
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared.model import Person

Handler = Callable[[Person, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports that the core is given."""

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
    attachments: Attachments
    loose: OrphanedAttachments
    files: Files
    sniffer: Callable[[], Sniffer]
    max_upload: int


class CommandBus:
    """Dispatches commands to the services; `also` handles those that need more than the world."""

    def __init__(
        self,
        world: Ports,
        membership_cache: MembershipCache,
        load_monitor: LoadMonitor,
        also: Mapping[type[c.Command], Handler] | None = None,
    ) -> None:
        self.access = Access(membership_cache, world.memberships, world.messages)
        self.attachments = AttachmentService(
            self.access,
            world.attachments,
            world.files,
            loose=world.loose,
            sniffer=world.sniffer,
            max_upload=world.max_upload,
        )
        self.messages = MessageService(self.access, world.outbox, self.attachments)
        self.receipts = ReceiptService(
            self.access, world.outbox, world.conversations, world.messages, membership_cache
        )
        self.conversations = ConversationService(
            self.access,
            world.conversations,
            world.memberships,
            world.membership_changes,
            world.contracts,
            world.people,
            world.event_publisher,
        )
        self.contracts = ContractService(
            self.access, world.contracts, world.conversations, self.conversations, self.messages
        )
        self.history = HistoryService(self.access, world.messages, world.conversations, world.people)
        self.search = SearchService(self.access, world.memberships, world.search, self.history)
        self.presence = PresenceService(
            self.access, world.memberships, world.presence, world.event_publisher, load_monitor
        )
        self._handlers: dict[type, Handler] = {
            c.SendMessage: self.messages.send,
            c.SendToContract: self.contracts.send,
            c.PutContract: self.contracts.put,
            c.EditMessage: self.messages.edit,
            c.DeleteMessage: self.messages.delete,
            c.MarkRead: self.receipts.read,
            c.MarkConversationRead: self.receipts.read_all,
            c.MarkDelivered: self.receipts.delivered,
            c.CreateConversation: self.conversations.create,
            c.AddParticipants: self.conversations.add,
            c.RemoveParticipant: self.conversations.remove,
            c.LeaveConversation: self.conversations.leave,
            c.ArchiveConversation: self.conversations.archive,
            c.CountUnread: self.conversations.unread,
            c.GetConversation: self.conversations.get,
            c.ListConversations: self.conversations.page,
            c.ListMessages: self.history.page,
            c.GetMessage: self.history.get,
            c.Search: self.search.find,
            c.Sync: self.history.sync,
            c.ListOnline: self.presence.online,
            c.SetTyping: self.presence.typing,
            **(also or {}),
        }

    async def handle(self, person: Person, command: c.Command) -> Any:
        """Do what `person` wishes.

        Returns one of the `results`; a `Deferred` one holds when its future does.

        Raises:
            ChatError: it is refused, and nothing has changed.
        """
        return await self._handlers[type(command)](person, command)
