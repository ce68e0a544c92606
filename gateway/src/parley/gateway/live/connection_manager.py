"""The connection manager: lets sockets in and out, and into the rooms that they join."""

import asyncio

from parley.gateway.core.errors import Forbidden, NotFound, Unavailable
from parley.gateway.core.ports import Presence
from parley.gateway.core.results import Joined, Left
from parley.gateway.live.admissions import Admissions
from parley.gateway.live.departures import Departures
from parley.gateway.live.join_backfill import JoinBackfill
from parley.gateway.live.lingering_users import LingeringUsers
from parley.gateway.live.local_conversations import LocalConversations
from parley.gateway.live.presence_tracker import PresenceTracker
from parley.gateway.live.room_membership import RoomMembership
from parley.gateway.live.session_rooms import Protocols, SessionRooms
from parley.gateway.live.sessions import Session, Sessions, SessionState
from parley.gateway.live.streams import Streams
from parley.gateway.live.user_loader import UserLoader
from parley.gateway.services.access import NO_CONVERSATION, Access
from parley.gateway.services.presence import PresenceService
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared import rooms
from parley.shared.events import RoomChanged
from parley.shared.model import Person

CONNECT_SECONDS = 10.0
MAX_JOINED = 1_000
"""Conversations that one socket may have joined."""


class ConnectionManager:
    """Connects sockets, and lets them join and leave conversations."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        session_rooms: SessionRooms,
        room_membership: RoomMembership,
        membership_cache: MembershipCache,
        streams: Streams,
        access: Access,
        user_loader: UserLoader,
        admissions: Admissions,
        local_conversations: LocalConversations,
        lingering_users: LingeringUsers,
        presence: Presence,
        departures: Departures,
        presence_service: PresenceService,
        presence_tracker: PresenceTracker,
        join_backfill: JoinBackfill,
    ) -> None:
        self._sessions = sessions
        self._session_rooms = session_rooms
        self._room_membership = room_membership
        self._membership_cache = membership_cache
        self._streams = streams
        self._access = access
        self._user_loader = user_loader
        self._admissions = admissions
        self._local_conversations = local_conversations
        self._lingering_users = lingering_users
        self._presence = presence
        self._departures = departures
        self._presence_service = presence_service
        self._presence_tracker = presence_tracker
        self._join_backfill = join_backfill

    # Connecting.

    async def connect(
        self, session: Session, person: Person, protocols: Protocols, issued_at: float | None = None
    ) -> None:
        """Prepare a session: subscriptions first, then what is read because of them.

        From here on membership events reach the session, though it enters its rooms later.

        Raises:
            Unavailable: Redis or MongoDB is away, or too slow.
        """
        self._sessions.add(session)
        self._session_rooms.add(session, protocols)
        is_lingering = self._lingering_users.take(session.user_id)
        self._membership_cache.add_socket(person)
        try:
            # A subscription that no room uses is dropped after the manager's linger.
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._user_loader.load(session, person, issued_at, is_known=is_lingering)
                await self._presence_tracker.introduce(session)
        except BaseException as error:
            self._forget(session)
            self._presence.forget_socket(session.user_id, session.sid)
            if isinstance(error, TimeoutError):
                raise Unavailable("The gateway is too slow at the moment; try again.") from error
            raise

    def go_live(self, session: Session) -> bool:
        """Let a session receive the events of its rooms. Returns False if it was closed meanwhile."""
        if not self._sessions.transition(session, SessionState.LIVE):
            return False
        self._room_membership.activate(session)
        self._membership_cache.report_again(session.user_id)
        return True

    def disconnect(self, session: Session) -> None:
        """Handle that a socket has gone; the client manager drops its rooms by itself."""
        joined = self._session_rooms.joined_by(session)
        was_live = self._session_rooms.has_entered(session)
        self._forget(session)
        if was_live:
            for conversation_id in joined:
                self._announce_room(session, conversation_id, joined=False)
        self._departures.add(session)

    async def wait_for_departures(self) -> None:
        """Wait until presence was told of all sockets that have gone."""
        await self._departures.wait()

    def _forget(self, session: Session) -> None:
        user_id = session.user_id
        was_live = self._session_rooms.has_entered(session)
        if self._sessions.remove(session):
            self._room_membership.release(session)
            self._presence_tracker.forget(session)
            self._join_backfill.forget(session)
            self._membership_cache.remove_socket(user_id)
            self._forget_memberships(user_id, linger=was_live)

    def _forget_memberships(self, user_id: str, *, linger: bool) -> None:
        """Forget what no socket of a user needs any more."""
        others = self._sessions.of_user(user_id)
        if not others and linger:
            self._lingering_users.add(user_id)
            return
        conversations = self._membership_cache.conversations_of(user_id)
        if not others:
            self._membership_cache.remove_user(user_id)
        elif all(map(self._session_rooms.has_entered, others)):
            self._local_conversations.drop_expected(conversations, user_id)
        self._local_conversations.close_unused(conversations)

    # Joining and leaving a conversation's room.

    async def join(self, session: Session, conversation_id: str) -> Joined:
        """Let a session receive a conversation's messages after the position that is returned.

        Raises:
            NotFound: the user is not a member.
            Forbidden: the session has joined `MAX_JOINED` conversations.
            Unavailable: Redis or MongoDB is away.
        """
        user_id, room = session.user_id, rooms.joined(conversation_id)
        await self._access.role(user_id, conversation_id)
        if not self._session_rooms.is_in(session, room) and self._has_joined_all_it_may(session):
            raise Forbidden(f"A socket may be in at most {MAX_JOINED} rooms: leave one first.")
        is_known = self._membership_cache.role(conversation_id, user_id) is not None
        # While a member is being admitted, what is backfilled depends on whether a session has joined.
        if not is_known or not self._session_rooms.is_in(session, rooms.conversation(conversation_id)):
            # The user's other sockets learn of the conversation by its event, which may be on its way.
            await self._admissions.admit(user_id, conversation_id, only=session)
        joined_before = self._session_rooms.is_in(session, room)
        await self._room_membership.subscribe_and_enter(session, [room])
        if self._membership_cache.role(conversation_id, user_id) is None:
            self._room_membership.leave(session, room)
            raise NotFound(NO_CONVERSATION)
        if not joined_before:
            self._announce_room(session, conversation_id, joined=True)
        return Joined(conversation_id, *self._streams.head(conversation_id))

    def _has_joined_all_it_may(self, session: Session) -> bool:
        return len(self._session_rooms.joined_by(session)) >= MAX_JOINED

    def leave(self, session: Session, conversation_id: str) -> Left:
        """Stop sending a conversation's messages to a session."""
        if self._session_rooms.is_in(session, rooms.joined(conversation_id)):
            self._room_membership.leave(session, rooms.joined(conversation_id))
            self._announce_room(session, conversation_id, joined=False)
        return Left(conversation_id)

    def _announce_room(self, session: Session, conversation_id: str, *, joined: bool) -> None:
        """Publish that the user opened or closed a conversation, if no other socket here has it open."""
        others = (s for s in self._sessions.of_user(session.user_id) if s is not session)
        if not any(self._session_rooms.is_in(other, rooms.joined(conversation_id)) for other in others):
            self._presence_service.publish_room_changed(session.user_id, conversation_id, joined=joined)

    def still_joined(self, left: RoomChanged) -> bool:
        """Whether a user who closed a conversation elsewhere has it open here; then publish that."""
        room = rooms.joined(left.conversation_id)
        here = any(self._session_rooms.is_in(s, room) for s in self._sessions.live_of(left.user_id))
        if here:
            self._presence_service.publish_room_changed(left.user_id, left.conversation_id, joined=True)
        return here
