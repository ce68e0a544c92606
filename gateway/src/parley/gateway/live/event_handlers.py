"""The handlers of bus events: one table from the kind of event to what follows from it on this node."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from parley.gateway.core.errors import Unavailable
from parley.gateway.live.admissions import Admissions
from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.live.connection_manager import ConnectionManager
from parley.gateway.live.deferred_presence import DeferredPresence
from parley.gateway.live.delivery_log import DeliveryLog
from parley.gateway.live.local_conversations import LocalConversations
from parley.gateway.live.presence_tracker import PresenceTracker
from parley.gateway.live.streams import Streams
from parley.gateway.live.typing_events import TypingEvents
from parley.gateway.pubsub.bus import Bus
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.services.messages import MessageService
from parley.gateway.services.profiles import Profiles
from parley.gateway.services.revocations import RevocationService
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared import events as e
from parley.shared import rooms

log = structlog.get_logger()

Handler = Callable[[str, Any], None]
"""Called with the room that an event was published to, and the event."""
Handlers = Mapping[type, Handler]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventHandlers:
    """The parts that events reach. `spawn` runs a coroutine in the background."""

    streams: Streams
    broadcaster: Broadcaster
    delivery_log: DeliveryLog
    connection_manager: ConnectionManager
    admissions: Admissions
    local_conversations: LocalConversations
    presence_tracker: PresenceTracker
    deferred_presence: DeferredPresence
    typing_events: TypingEvents
    membership_cache: MembershipCache
    messages: MessageService
    profiles: Profiles
    revocations: RevocationService
    manager: RedisManager
    bus: Bus
    spawn: Callable[[Coroutine[Any, Any, Any]], None]

    def table(self) -> Handlers:
        """Return the handler of each kind of event."""
        return {
            e.MessageStored: self._on_stored,
            e.MessageEdited: lambda _, event: self.streams.receive(event),
            e.MessageDeleted: lambda _, event: self.streams.receive(event),
            e.MessageRepeated: lambda _, event: self._broadcast_once(event),
            e.RecordRefused: self._on_refused,
            e.ConversationRead: self._on_read,
            e.ConversationDelivered: self._on_delivered,
            e.ConversationCreated: self._on_created,
            e.MembersAdded: self._on_members_added,
            e.MemberRemoved: self._on_member_removed,
            e.RoomChanged: self._on_room_changed,
            e.PresenceChanged: self._on_presence,
            e.TypingChanged: lambda _, event: self.typing_events.broadcast(event),
            e.TokensRevoked: lambda _, event: self.revocations.apply(event),
            e.ProfileChanged: lambda _, event: self.profiles.apply(event),
            e.Heartbeat: lambda _, event: self.bus.heartbeat_received(event.count),
            e.Emit: lambda _, event: self.manager.on_emit(event),
            e.Control: lambda _, event: self.spawn(self.manager.apply_remote_command(event)),
        }

    def _on_stored(self, _room: str, event: e.MessageStored) -> None:
        self.streams.receive(event)
        self.typing_events.end(event)

    def _broadcast_once(self, event: Any) -> None:
        """Broadcast an event that has no revision, unless its record's event was broadcast before."""
        if self.delivery_log.is_first(event.record_id):
            self.broadcaster.broadcast(event)

    def _on_refused(self, _room: str, event: e.RecordRefused) -> None:
        self.messages.on_refused(event)
        self._broadcast_once(event)

    def _on_read(self, _room: str, event: e.ConversationRead) -> None:
        self.membership_cache.apply_read(event)
        self._broadcast_once(event)

    def _on_delivered(self, _room: str, event: e.ConversationDelivered) -> None:
        self.membership_cache.apply_delivered(event)
        self._broadcast_once(event)

    def _on_created(self, room: str, event: e.ConversationCreated) -> None:
        self.spawn(self.admissions.admit(rooms.user_id(room), event.conversation.id, event))

    def _on_members_added(self, _room: str, event: e.MembersAdded) -> None:
        self.broadcaster.broadcast(event)
        self.spawn(self.presence_tracker.added(event))

    def _on_member_removed(self, _room: str, event: e.MemberRemoved) -> None:
        self.broadcaster.broadcast(event)
        if event.new_owner is not None:
            self.membership_cache.set_owner(event.conversation_id, event.new_owner)
        self.local_conversations.remove(event.conversation_id, event.user_id)
        self.spawn(self._unfollow(event))

    async def _unfollow(self, event: e.MemberRemoved) -> None:
        try:
            await self.presence_tracker.removed(event.conversation_id, event.user_id)
        except Unavailable as error:
            log.warning("gateway.presence.unfollow_failed", user=event.user_id, error=str(error))

    def _on_room_changed(self, _room: str, event: e.RoomChanged) -> None:
        if event.joined or not self.connection_manager.still_joined(event):
            self.broadcaster.broadcast(event)

    def _on_presence(self, _room: str, event: e.PresenceChanged) -> None:
        self.deferred_presence.broadcast(event)
