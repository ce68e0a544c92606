"""The conversations with members on this node: their streams, and the users who are taken out of them."""

from collections.abc import Collection, Iterable, Mapping

from parley.gateway.core.ports import Conversations, Messages
from parley.gateway.core.positions import Position, head_of
from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.live.join_backfill import JoinBackfill
from parley.gateway.live.presence_tracker import PresenceTracker
from parley.gateway.live.room_membership import RoomMembership
from parley.gateway.live.session_rooms import SessionRooms
from parley.gateway.live.sessions import Sessions
from parley.gateway.live.streams import Streams
from parley.gateway.live.turns import in_turns
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared import rooms
from parley.shared.events import MemberRemoved
from parley.shared.model import Membership, now


class LocalConversations:
    """Opens streams for members that come, and closes those that no member needs any more."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        session_rooms: SessionRooms,
        room_membership: RoomMembership,
        membership_cache: MembershipCache,
        streams: Streams,
        conversations: Conversations,
        messages: Messages,
        join_backfill: JoinBackfill,
        presence_tracker: PresenceTracker,
        broadcaster: Broadcaster,
    ) -> None:
        self._sessions = sessions
        self._session_rooms = session_rooms
        self._room_membership = room_membership
        self._membership_cache = membership_cache
        self._streams = streams
        self._conversations = conversations
        self._messages = messages
        self._join_backfill = join_backfill
        self._presence_tracker = presence_tracker
        self._broadcaster = broadcaster

    # Streams.

    async def open_streams(self, conversation_ids: Collection[str]) -> None:
        """Open the streams of conversations whose channels are subscribed to, at their stored heads."""
        closed = self.closed_streams(conversation_ids)
        stored = await self._conversations.get(closed) if closed else {}
        self.start_streams(conversation_ids, {c.id: head_of(c) for c in stored.values()})

    def closed_streams(self, conversation_ids: Collection[str]) -> list[str]:
        """Take the events of conversations from now on; return those whose heads are to be read.

        One whose last member here was removed meanwhile is left out: nothing would close its stream.
        """
        local = self._membership_cache.conversations
        return self._streams.open([each for each in conversation_ids if each in local])

    def are_open(self, conversation_ids: Iterable[str]) -> bool:
        """Return whether the events of conversations are delivered at present."""
        return all(map(self._streams.is_open, conversation_ids))

    def start_streams(self, conversation_ids: Iterable[str], heads: Mapping[str, Position]) -> None:
        """Deliver what comes after the heads that were read."""
        # Another session's failure may have closed a stream while the heads were read: it is opened again.
        local = self._membership_cache.conversations
        self._streams.start({each: head for each, head in heads.items() if each in local})
        for conversation_id in conversation_ids:
            self._membership_cache.advance(conversation_id, self._streams.seq(conversation_id))

    def close_unused(self, conversation_ids: Iterable[str]) -> None:
        """Close the streams of conversations that have no member here any more."""
        for conversation_id in conversation_ids:
            if conversation_id not in self._membership_cache.conversations:
                self._streams.close(conversation_id)
                self._presence_tracker.drop(conversation_id)

    # Unread counts.

    async def load_deleted(self, memberships: Collection[Membership]) -> None:
        """Load what a user's unread counts leave out, of conversations whose streams are open.

        A message that is deleted after the stream was opened comes by the stream. Read marks only move up,
        so what is loaded for these memberships is enough for those that are read afterwards.
        """
        async for some in in_turns(memberships):
            above = {m.conversation_id: m.base for m in some if self.misses_deleted(m)}
            for conversation_id, tombstones in (await self._messages.deleted(above)).items() if above else ():
                self._membership_cache.add_deleted(conversation_id, tombstones)

    def misses_deleted(self, m: Membership) -> bool:
        """Whether deleted messages may have to be left out of an unread count, and are not known."""
        seq = self._streams.seq(m.conversation_id)
        may_miss = seq > m.read_seq and seq > m.join_seq and m.unread(seq, 0) > 0
        return may_miss and not self._membership_cache.has_counts(m.conversation_id, m.user_id)

    # Users.

    def remove(self, conversation_id: str, user_id: str) -> None:
        """Take a local user's sessions out of a conversation that the user is no longer in."""
        for session in self._sessions.of_user(user_id):
            if self._session_rooms.is_in(session, rooms.conversation(conversation_id)):
                self._join_backfill.left(session, conversation_id)
            self._room_membership.leave(session, rooms.joined(conversation_id))
            self._room_membership.leave(session, rooms.conversation(conversation_id))
        self._membership_cache.remove(conversation_id, user_id)
        self.close_unused([conversation_id])

    def remove_missed(self, conversation_id: str, user_id: str) -> None:
        """Remove a local user whose removal no event brought: broadcast it, then take the sessions out."""
        if self._membership_cache.role(conversation_id, user_id) is not None:
            # MongoDB does not store who removed a member.
            removed = MemberRemoved(conversation_id=conversation_id, user_id=user_id, by="", at=now())
            self._broadcaster.broadcast(removed)
        self.remove(conversation_id, user_id)

    def drop_expected(self, conversation_ids: Iterable[str], user_id: str) -> None:
        """Drop cache entries without a role: a failed admission must not pass for a finished one."""
        for conversation_id in conversation_ids:
            if self._membership_cache.role(conversation_id, user_id) is None:
                self._membership_cache.remove(conversation_id, user_id)
