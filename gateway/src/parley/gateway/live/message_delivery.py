"""Message delivery: the effects of a stream's next event on the caches and the sockets."""

from time import perf_counter, time

from parley.gateway import gauges
from parley.gateway.core.positions import Position, Tombstone
from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.live.delivery_log import DeliveryLog
from parley.gateway.live.unread_counts import UnreadCounts
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared.events import MessageDeleted, MessageEdited, MessageStored, Numbered


class MessageDelivery:
    """Takes each numbered event once and in order, updates what depends on it, and broadcasts it."""

    def __init__(
        self,
        membership_cache: MembershipCache,
        delivery_log: DeliveryLog,
        broadcaster: Broadcaster,
        unread_counts: UnreadCounts,
    ) -> None:
        self._membership_cache = membership_cache
        self._delivery_log = delivery_log
        self._broadcaster = broadcaster
        self._unread_counts = unread_counts

    def deliver(self, event: Numbered, position: Position) -> None:
        """Deliver a stream's next event; `position` is what the stream has reached with it."""
        if isinstance(event, MessageStored):
            self._membership_cache.apply_message(event.message)
            gauges.delivered_seconds.add(max(0.0, time() - event.message.created_at.timestamp()))
            self._delivery_log.add(event)
        elif isinstance(event, MessageDeleted):
            tombstone = Tombstone(event.message.seq, event.message.sender_id)
            self._membership_cache.add_deleted(event.conversation_id, [tombstone])
        began = perf_counter()
        self._broadcaster.broadcast(event, position)
        gauges.fan_out_seconds.add(perf_counter() - began)
        if not isinstance(event, MessageEdited):
            self._unread_counts.broadcast_of(event.conversation_id)
