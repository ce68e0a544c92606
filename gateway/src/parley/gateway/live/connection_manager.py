"""The connection manager: lets sockets in and out, and keeps their rooms true to their memberships."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar
from weakref import WeakValueDictionary

import structlog

from parley.gateway.core.errors import Forbidden, NotFound, Unavailable
from parley.gateway.core.ports import Conversations, Memberships, Messages, Presence
from parley.gateway.core.results import ConversationView, Joined, Left
from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.live.join_backfill import JoinBackfill
from parley.gateway.live.presence_subscriptions import PresenceSubscriptions
from parley.gateway.live.room_membership import RoomMembership
from parley.gateway.live.session_rooms import Protocols, SessionRooms
from parley.gateway.live.sessions import Session, Sessions, SessionState
from parley.gateway.live.streams import Streams
from parley.gateway.protocols.protocol import Admitted
from parley.gateway.services.access import NO_CONVERSATION, Access
from parley.gateway.services.presence import PresenceService
from parley.gateway.services.profiles import Profiles
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared import rooms
from parley.shared.events import ConversationCreated, MemberRemoved, RoomChanged
from parley.shared.model import MEMBERS_SHOWN, Member, Membership, Person, now

log = structlog.get_logger()

T = TypeVar("T")

CONTACTS_AT_ONCE = 500
MEMBERSHIPS_AT_ONCE = 250
"""Memberships of a connecting user that are prepared in one turn of the event loop."""
CONNECT_SECONDS = 10.0
MAX_JOINED = 1_000
"""Conversations that one socket may have joined."""


class ConnectionManager:
    """Connects sockets, joins conversations, and admits or removes members while they are connected."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        session_rooms: SessionRooms,
        room_membership: RoomMembership,
        membership_cache: MembershipCache,
        streams: Streams,
        access: Access,
        conversations: Conversations,
        memberships: Memberships,
        messages: Messages,
        profiles: Profiles,
        presence: Presence,
        contacts: PresenceService,
        join_backfill: JoinBackfill,
        presence_subscriptions: PresenceSubscriptions,
        broadcaster: Broadcaster,
    ) -> None:
        self._sessions = sessions
        self._session_rooms = session_rooms
        self._room_membership = room_membership
        self._membership_cache = membership_cache
        self._streams = streams
        self._access = access
        self._conversations = conversations
        self._memberships = memberships
        self._messages = messages
        self._profiles = profiles
        self._presence = presence
        self._contacts = contacts
        self._join_backfill = join_backfill
        self._presence_subscriptions = presence_subscriptions
        self._broadcaster = broadcaster
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

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
        self._membership_cache.add_socket(person)
        try:
            # A subscription that no room uses is dropped after the manager's linger.
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._prepare(session, person, issued_at)
        except BaseException as error:
            self._forget(session)
            self._presence.forget_socket(session.user_id, session.sid)
            if isinstance(error, TimeoutError):
                raise Unavailable("The gateway is too slow at the moment; try again.") from error
            raise

    async def _prepare(self, session: Session, person: Person, issued_at: float | None) -> None:
        await self._room_membership.subscribe_and_enter(session, [rooms.user(session.user_id)])
        contacts = await self._load_memberships(session)
        await self._profiles.present(person, issued_at)
        await self._presence.add_socket(session.user_id, session.sid)
        online = tuple(await self._presence.online({session.user_id, *contacts}))
        self._presence_subscriptions.introduce(session, contacts, online)

    async def _load_memberships(self, session: Session) -> set[str]:
        """Enter the rooms of all the user's conversations. Returns the ids of the user's contacts.

        A membership can be added between reading the list and subscribing to its rooms, so the list
        is read again until it names nothing that is not subscribed to.
        """
        user_id = session.user_id
        subscribed: set[str] = set()
        memberships: list[Membership] = []
        ids = await self._memberships.conversations_of(user_id)
        # An entry that has vanished from the cache was removed by an event that this read may predate.
        while fresh := ids - (subscribed & self._membership_cache.memberships_of(user_id).keys()):
            if session not in self._sessions:
                break
            for some in _slices(fresh):
                await self._follow(session, some)
            subscribed |= fresh
            memberships = await self._memberships.of_users([user_id])
            ids = {m.conversation_id for m in memberships}
            for known in _slices(m for m in memberships if m.conversation_id in fresh):
                await self._load_deleted(known)
        for gone in subscribed - ids:
            self.remove_missed(gone, user_id)
        await self._put(session, memberships)
        # Costs little, unless another socket of the user failed meanwhile and closed a stream.
        for some in _slices(ids):
            await self._open_streams(some)
            await asyncio.sleep(0)
        contacts = await self._contacts.contacts(user_id, list(ids))
        await self._room_membership.subscribe_and_enter(session, map(rooms.presence, contacts))
        return contacts

    async def _follow(self, session: Session, conversation_ids: Sequence[str]) -> None:
        await self._room_membership.subscribe_and_enter(session, map(rooms.conversation, conversation_ids))
        for conversation_id in conversation_ids:
            self._membership_cache.expect_membership(conversation_id, session.user_id)
        await self._open_streams(conversation_ids)

    async def _put(self, session: Session, memberships: Sequence[Membership]) -> None:
        for some in _slices(memberships):
            for membership in some:
                # One that vanished from the cache meanwhile was removed by an event.
                if session in self._sessions and self._is_expected(membership):
                    self._membership_cache.put(membership)
            await asyncio.sleep(0)

    def _is_expected(self, membership: Membership) -> bool:
        return membership.conversation_id in self._membership_cache.memberships_of(membership.user_id)

    def go_live(self, session: Session) -> bool:
        """Let a session receive the events of its rooms. Returns False if it was closed meanwhile."""
        if not self._sessions.transition(session, SessionState.LIVE):
            return False
        self._room_membership.activate(session)
        self._membership_cache.report_again(session.user_id)
        return True

    async def disconnect(self, session: Session) -> None:
        """Handle that a socket has gone; the client manager drops its rooms by itself."""
        joined = self._session_rooms.joined_by(session)
        was_live = self._session_rooms.has_entered(session)
        self._forget(session)
        if was_live:
            for conversation_id in joined:
                self._announce_room(session, conversation_id, joined=False)
        try:
            await self._presence.remove_socket(session.user_id, session.sid)
        except Unavailable:
            log.warning("gateway.presence.leave_failed", user=session.user_id)

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
            await self._admit(user_id, conversation_id)
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
            self._contacts.publish_room_changed(session.user_id, conversation_id, joined=joined)

    def still_joined(self, left: RoomChanged) -> bool:
        """Whether a user who closed a conversation elsewhere has it open here; then publish that."""
        room = rooms.joined(left.conversation_id)
        here = any(self._session_rooms.is_in(s, room) for s in self._sessions.live_of(left.user_id))
        if here:
            self._contacts.publish_room_changed(left.user_id, left.conversation_id, joined=True)
        return here

    # Memberships that change while their users are connected.

    async def admit(self, user_id: str, created: ConversationCreated) -> None:
        """Handle that a local user has become a member; does nothing if all their sockets know."""
        await self._admit(user_id, created.conversation.id, created)

    def is_admitted(self, conversation_id: str, user_id: str) -> bool:
        """Whether all sockets of a local user are in a conversation; one may have connected before."""
        room = rooms.conversation(conversation_id)
        return self._membership_cache.role(conversation_id, user_id) is not None and all(
            self._session_rooms.is_in(session, room) for session in self._sessions.of_user(user_id)
        )

    async def _admit(
        self, user_id: str, conversation_id: str, created: ConversationCreated | None = None
    ) -> None:
        lock = self._locks.setdefault((user_id, conversation_id), asyncio.Lock())
        async with lock:
            if self.is_admitted(conversation_id, user_id):
                return
            try:
                await self._admit_locked(user_id, conversation_id, created)
            finally:
                self._drop_expected([conversation_id], user_id)
                self._close_unused_streams([conversation_id])

    async def _admit_locked(
        self, user_id: str, conversation_id: str, created: ConversationCreated | None
    ) -> None:
        contacts = await self._memberships.contacts([conversation_id], CONTACTS_AT_ONCE) - {user_id}
        channels = [rooms.conversation(conversation_id), *map(rooms.presence, contacts)]
        await self._room_membership.subscribe(channels)
        membership = await self._read_membership(user_id, conversation_id)
        if membership is None:
            self.remove_missed(conversation_id, user_id)
            return
        self._membership_cache.put(membership)
        if created is not None:
            self._broadcaster.broadcast(self._admitted(created, membership))
        await self._join_backfill.run(membership, lambda: self._outside(user_id, conversation_id))
        if self._membership_cache.role(conversation_id, user_id) is not None:
            for session in self._sessions.of_user(user_id):
                self._room_membership.enter(session, rooms.conversation(conversation_id))
            await self._presence_subscriptions.joined(conversation_id, user_id, contacts)

    async def _read_membership(self, user_id: str, conversation_id: str) -> Membership | None:
        """Return a local user's membership, as it was at some time after the subscription."""
        loaded: set[int] = set()
        while self._sessions.of_user(user_id):
            self._membership_cache.expect_membership(conversation_id, user_id)
            await self._open_streams([conversation_id])
            # Read last: the user may have been removed meanwhile. If the removal's event came during this
            # read, the cache has lost the entry and the read may predate it, so read once more.
            membership = await self._memberships.get(conversation_id, user_id)
            if membership is None:
                return None
            if conversation_id not in self._membership_cache.conversations_of(user_id):
                continue
            if membership.base in loaded or not self._misses_deleted(membership):
                return membership
            await self._load_deleted([membership])
            loaded.add(membership.base)
        return None

    def _outside(self, user_id: str, conversation_id: str) -> list[Session]:
        """Return a member's live sessions that are not in the conversation's room yet."""
        if self._membership_cache.role(conversation_id, user_id) is None:
            return []
        room = rooms.conversation(conversation_id)
        return [s for s in self._sessions.live_of(user_id) if not self._session_rooms.is_in(s, room)]

    def remove(self, conversation_id: str, user_id: str) -> None:
        """Take a local user's sessions out of a conversation that the user is no longer in."""
        for session in self._sessions.of_user(user_id):
            if self._session_rooms.is_in(session, rooms.conversation(conversation_id)):
                self._join_backfill.left(session, conversation_id)
            self._room_membership.leave(session, rooms.joined(conversation_id))
            self._room_membership.leave(session, rooms.conversation(conversation_id))
        self._membership_cache.remove(conversation_id, user_id)
        self._close_unused_streams([conversation_id])

    def remove_missed(self, conversation_id: str, user_id: str) -> None:
        """Remove a local user whose removal no event brought: broadcast it, then take the sessions out."""
        if self._membership_cache.role(conversation_id, user_id) is not None:
            # MongoDB does not store who removed a member.
            removed = MemberRemoved(conversation_id=conversation_id, user_id=user_id, by="", at=now())
            self._broadcaster.broadcast(removed)
        self.remove(conversation_id, user_id)

    async def _open_streams(self, conversation_ids: Collection[str]) -> None:
        """Open the streams of conversations whose channels are subscribed to, at their stored heads."""
        fresh = [c for c in conversation_ids if self._streams.open(c)]
        heads = await self._conversations.get(fresh) if fresh else {}
        for conversation in heads.values():
            # Another session's failure may have closed the stream while the heads were read.
            self._streams.open(conversation.id)
            self._streams.start(conversation)
        for conversation_id in conversation_ids:
            self._membership_cache.advance(conversation_id, self._streams.head(conversation_id).seq)

    async def _load_deleted(self, memberships: Collection[Membership]) -> None:
        """Load what a user's unread counts leave out, of conversations whose streams are open.

        A message that is deleted after the stream was opened comes by the stream. Read marks only move up,
        so what is loaded for these memberships is enough for those that are read afterwards.
        """
        above = {m.conversation_id: m.base for m in memberships if self._misses_deleted(m)}
        for conversation_id, tombstones in (await self._messages.deleted(above)).items() if above else ():
            self._membership_cache.add_deleted(conversation_id, tombstones)

    def _misses_deleted(self, m: Membership) -> bool:
        """Whether deleted messages may have to be left out of an unread count, and are not known."""
        is_known = self._membership_cache.has_counts(m.conversation_id, m.user_id)
        return not is_known and m.unread(self._streams.head(m.conversation_id).seq, 0) > 0

    def _forget(self, session: Session) -> None:
        user_id = session.user_id
        conversations = list(self._membership_cache.conversations_of(user_id))
        if self._sessions.remove(session):
            self._room_membership.release(session)
            self._presence_subscriptions.forget(session)
            self._join_backfill.forget(session)
            self._membership_cache.remove_socket(user_id)
            if all(self._session_rooms.has_entered(s) for s in self._sessions.of_user(user_id)):
                self._drop_expected(conversations, user_id)
            self._close_unused_streams(conversations)

    def _drop_expected(self, conversation_ids: Iterable[str], user_id: str) -> None:
        """Drop cache entries without a role: a failed admission must not pass for a finished one."""
        for conversation_id in conversation_ids:
            if self._membership_cache.role(conversation_id, user_id) is None:
                self._membership_cache.remove(conversation_id, user_id)

    def _close_unused_streams(self, conversation_ids: Iterable[str]) -> None:
        for conversation_id in conversation_ids:
            if conversation_id not in self._membership_cache.conversations:
                self._streams.close(conversation_id)

    def _admitted(self, created: ConversationCreated, membership: Membership) -> Admitted:
        unread = self._membership_cache.unread(membership.conversation_id, membership.user_id) or 0
        members = self._with_themselves(created.members, membership)
        count = max(created.member_count, len(members))
        conversation = created.conversation.as_seen_from(membership.hidden_seq)
        view = ConversationView(conversation, members, count, unread, read_seq=membership.base)
        return Admitted(membership.user_id, view)

    def _with_themselves(self, members: tuple[Member, ...], own: Membership) -> tuple[Member, ...]:
        """Return the first members of a conversation, the member who is shown them among them."""
        if any(m.person.id == own.user_id for m in members):
            return members
        person = self._profiles.current(self._membership_cache.users[own.user_id].person)
        return (*members[: MEMBERS_SHOWN - 1], Member(person=person, role=own.role))


def _slices(values: Iterable[T]) -> Iterator[list[T]]:
    """Yield slices of a user's memberships, between which other clients have their turns."""
    rest = iter(values)
    while some := list(islice(rest, MEMBERSHIPS_AT_ONCE)):
        yield some
