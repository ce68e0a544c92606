"""The core as one thing: give it a person's command, get what it comes to."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from gateway.core import commands as c
from gateway.core.access import Access
from gateway.core.conversations import ConversationService
from gateway.core.history import HistoryService
from gateway.core.messages import MessageService
from gateway.core.ports import (
    Announcer,
    Conversations,
    MembershipChanges,
    Memberships,
    Messages,
    Outbox,
    People,
    Presence,
)
from gateway.core.presence import PresenceService
from gateway.core.receipts import ReceiptService
from gateway.core.roster import Roster
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
    messages: Messages
    people: People


class Chat:
    """Dispatches commands to the services."""

    def __init__(self, world: World, roster: Roster) -> None:
        self.access = Access(roster, world.memberships, world.messages)
        self.messages = MessageService(self.access, world.outbox)
        self.receipts = ReceiptService(self.access, world.outbox, world.conversations, roster)
        self.conversations = ConversationService(
            self.access,
            world.conversations,
            world.memberships,
            world.membership_changes,
            world.people,
            world.announcer,
        )
        self.history = HistoryService(self.access, world.messages, world.conversations, world.people)
        self.presence = PresenceService(self.access, world.memberships, world.presence, world.announcer)
        self._handlers: dict[type, Handler] = {
            c.SendMessage: self.messages.send,
            c.EditMessage: self.messages.edit,
            c.DeleteMessage: self.messages.delete,
            c.MarkRead: self.receipts.read,
            c.MarkConversationRead: self.receipts.read_all,
            c.MarkDelivered: self.receipts.delivered,
            c.CreateConversation: self.conversations.create,
            c.AddParticipants: self.conversations.add,
            c.RemoveParticipant: self.conversations.remove,
            c.LeaveConversation: self.conversations.leave,
            c.GetConversation: self.conversations.get,
            c.ListConversations: self.conversations.page,
            c.ListMessages: self.history.page,
            c.Sync: self.history.sync,
            c.ListOnline: self.presence.online,
            c.SetTyping: self.presence.typing,
        }

    async def handle(self, person: Person, command: c.Command) -> Any:
        """Do what `person` wishes.

        Returns one of the `results`; a `Deferred` one holds when its future does.

        Raises:
            ChatError: it is refused, and nothing has changed.
        """
        return await self._handlers[type(command)](person, command)
