"""The core as one thing: give it a person's command, get what it comes to."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.core import commands as c
from gateway.core.access import Access
from gateway.core.attachments import AttachmentService
from gateway.core.contracts import ContractService
from gateway.core.conversations import ConversationService
from gateway.core.history import HistoryService
from gateway.core.messages import MessageService
from gateway.core.ports import (
    Announcer,
    Attachments,
    Contracts,
    Conversations,
    Files,
    LooseAttachments,
    MembershipChanges,
    Memberships,
    Messages,
    Outbox,
    People,
    Presence,
    Search,
    Sniffer,
)
from gateway.core.presence import PresenceService
from gateway.core.pressure import Pressure
from gateway.core.receipts import ReceiptService
from gateway.core.roster import Roster
from gateway.core.search import SearchService
from shared.model import Person

Handler = Callable[[Person, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The ports that the core is given."""

    outbox: Outbox
    announcer: Announcer
    presence: Presence
    conversations: Conversations
    memberships: Memberships
    membership_changes: MembershipChanges
    contracts: Contracts
    messages: Messages
    search: Search
    people: People
    attachments: Attachments
    loose: LooseAttachments
    files: Files
    sniffer: Callable[[], Sniffer]
    max_upload: int


class Chat:
    """Dispatches commands to the services; `also` handles those that need more than the world."""

    def __init__(
        self,
        world: World,
        roster: Roster,
        pressure: Pressure,
        also: Mapping[type[c.Command], Handler] | None = None,
    ) -> None:
        self.access = Access(roster, world.memberships, world.messages)
        self.attachments = AttachmentService(
            self.access,
            world.attachments,
            world.files,
            loose=world.loose,
            sniffer=world.sniffer,
            max_upload=world.max_upload,
        )
        self.messages = MessageService(self.access, world.outbox, self.attachments)
        self.receipts = ReceiptService(self.access, world.outbox, world.conversations, world.messages, roster)
        self.conversations = ConversationService(
            self.access,
            world.conversations,
            world.memberships,
            world.membership_changes,
            world.contracts,
            world.people,
            world.announcer,
        )
        self.contracts = ContractService(
            self.access, world.contracts, world.conversations, self.conversations, self.messages
        )
        self.history = HistoryService(self.access, world.messages, world.conversations, world.people)
        self.search = SearchService(self.access, world.memberships, world.search, self.history)
        self.presence = PresenceService(
            self.access, world.memberships, world.presence, world.announcer, pressure
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
