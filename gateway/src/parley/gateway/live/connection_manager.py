"""The lobby: lets sockets in and out of the rooms that are theirs, now and when memberships change."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from weakref import WeakValueDictionary

import structlog

from parley.gateway.core.errors import Forbidden, NotFound, Unavailable
from parley.gateway.core.ports import Conversations, Memberships, People, Presence
from parley.gateway.core.results import ConversationView, Joined, Left
from parley.gateway.live.join_backfill import JoinBackfill
from parley.gateway.live.presence_subscriptions import PresenceSubscriptions
from parley.gateway.live.room_membership import RoomMembership
from parley.gateway.live.sessions import Session, Sessions
from parley.gateway.protocols.protocol import Admitted, ClientProtocol
from parley.gateway.services.access import NO_CONVERSATION, Access
from parley.gateway.services.presence import PresenceService
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.state.streams import Streams
from parley.shared import rooms
from parley.shared.events import ConversationCreated, MemberRemoved, RoomChanged
from parley.shared.model import Membership, Person, now

log = structlog.get_logger()

CONTACTS_AT_ONCE = 500
ARRIVE_SECONDS = 10.0
MAX_JOINED = 1_000
"""Conversations that one socket may have joined."""


class ConnectionManager:
    """Rooms, roster and streams of the sockets on this node."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        room_membership: RoomMembership,
        membership_cache: MembershipCache,
        streams: Streams,
        access: Access,
        conversations: Conversations,
        memberships: Memberships,
        people: People,
        presence: Presence,
        contacts: PresenceService,
        join_backfill: JoinBackfill,
        presence_subscriptions: PresenceSubscriptions,
        tell: Callable[[Admitted | MemberRemoved], None],
    ) -> None:
        self._sessions = sessions
        self._room_membership = room_membership
        self._membership_cache = membership_cache
        self._streams = streams
        self._access = access
        self._conversations = conversations
        self._memberships = memberships
        self._people = people
        self._presence = presence
        self._contacts = contacts
        self._join_backfill = join_backfill
        self._presence_subscriptions = presence_subscriptions
        self._tell = tell
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def arrive(self, sid: str, person: Person, speaks: tuple[ClientProtocol, ...]) -> Session:
        """Make everything ready for a socket: subscriptions first, then what they build on.

        From here on the session hears of memberships that come and go, though it enters rooms later.

        Raises:
            Unavailable: Redis or MongoDB is away.
        """
        session = Session(sid, person, speaks, set())
        self._sessions.add(session)
        self._membership_cache.add_socket(person)
        try:
            # Subscriptions that are not used lapse after a while.
            async with asyncio.timeout(ARRIVE_SECONDS):
                await self._get_ready(session)
        except BaseException as error:
            self._forget(session)
            self._presence.forget_socket(person.id, sid)
            if isinstance(error, TimeoutError):
                raise Unavailable("The gateway is too slow at the moment; try again.") from error
            raise
        return session

    async def _get_ready(self, session: Session) -> None:
        person = session.person
        await self._room_membership.prepare(session, [rooms.user(person.id)])
        contacts = await self._settle_in(session)
        await self._people.save(person)
        await self._presence.add_socket(person.id, session.sid)
        session.online = tuple(await self._presence.online({person.id, *contacts}))
        self._presence_subscriptions.found(contacts, session.online)

    async def _settle_in(self, session: Session) -> set[str]:
        """Find the user's conversations, once all that they are in are subscribed to; their contacts."""
        user_id = session.person.id
        heard: set[str] = set()
        while True:
            memberships = await self._memberships.of_users([user_id])
            ids = {m.conversation_id for m in memberships}
            # A place that is there no more was taken by a removal, which this may have been read before.
            fresh = ids - (heard & set(self._membership_cache.conversations_of(user_id)))
            if not fresh or self._sessions.get(session.sid) is not session:
                break
            await self._room_membership.prepare(session, map(rooms.conversation, fresh))
            for conversation_id in fresh:
                self._membership_cache.expect_membership(conversation_id, user_id)
            await self._listen(fresh)
            heard |= fresh
        for gone in heard - ids:
            self.expel_missed(gone, user_id)
        for membership in memberships:
            self._membership_cache.put(membership)
        # Free unless another socket of the user failed meanwhile, and took a stream along.
        await self._listen(ids)
        contacts = await self._contacts.contacts(session.person, list(ids))
        await self._room_membership.prepare(session, map(rooms.presence, contacts))
        return contacts

    def enter(self, session: Session) -> None:
        """The socket is connected: it hears its rooms from now on."""
        self._room_membership.connect(session)
        self._membership_cache.report_again(session.person.id)

    async def depart(self, sid: str) -> None:
        """The socket is gone; its rooms are left by the manager."""
        session = self._sessions.get(sid)
        if session is None:
            return
        self._forget(session)
        if session.connected:
            for conversation_id in session.joined:
                self._tell_room(session, conversation_id, joined=False)
        try:
            await self._presence.remove_socket(session.person.id, sid)
        except Unavailable:
            log.warning("could not end a lease; it lapses", user=session.person.id)

    async def join(self, session: Session, conversation_id: str) -> Joined:
        """Have the socket hear a conversation's messages from the head that is given back.

        Raises:
            NotFound: it is not the user's.
            Forbidden: the socket has joined as many as it may.
            Unavailable: it cannot be heard now.
        """
        await self._access.role(session.person.id, conversation_id)
        if len(session.joined) >= MAX_JOINED and rooms.joined(conversation_id) not in session.places:
            raise Forbidden(f"A socket may be in at most {MAX_JOINED} rooms: leave one first.")
        known = self._membership_cache.role(conversation_id, session.person.id) is not None
        # While the user is being let in, what they are told depends on whether a socket has joined.
        if not known or rooms.conversation(conversation_id) not in session.places:
            await self._admit_late(session.person.id, conversation_id)
        name = rooms.joined(conversation_id)
        joined_before = name in session.places
        await self._room_membership.prepare(session, [name])
        if self._membership_cache.role(conversation_id, session.person.id) is None:
            self._room_membership.leave(session, name)
            raise NotFound(NO_CONVERSATION)
        if not joined_before:
            self._tell_room(session, conversation_id, joined=True)
        seq, rev = self._streams.head(conversation_id)
        return Joined(conversation_id, seq, rev)

    def leave_room(self, session: Session, conversation_id: str) -> Left:
        """Have the socket hear them no more."""
        if rooms.joined(conversation_id) in session.places:
            self._room_membership.leave(session, rooms.joined(conversation_id))
            self._tell_room(session, conversation_id, joined=False)
        return Left(conversation_id)

    def _tell_room(self, session: Session, conversation_id: str, *, joined: bool) -> None:
        """Tell that the user opened or closed a conversation, unless another socket of theirs has it open."""
        others = (s for s in self._sessions.of_user(session.person.id) if s is not session)
        if not any(rooms.joined(conversation_id) in other.places for other in others):
            self._contacts.publish_room_changed(session.person, conversation_id, joined=joined)

    def stays(self, left: RoomChanged) -> bool:
        """Whether a user who closed a conversation elsewhere has it open here still; that is told then."""
        name = rooms.joined(left.conversation_id)
        here = [s for s in self._sessions.of_user(left.user_id) if s.connected and name in s.places]
        if here:
            self._contacts.publish_room_changed(here[0].person, left.conversation_id, joined=True)
        return bool(here)

    async def admit(self, user_id: str, created: ConversationCreated) -> None:
        """A local user has come into a conversation: tell them, unless they knew."""
        await self._admit_late(user_id, created.conversation.id, created)

    def knows(self, conversation_id: str, user_id: str) -> bool:
        """Whether all sockets of a local user hear a conversation: one may have come before it."""
        name = rooms.conversation(conversation_id)
        return self._membership_cache.role(conversation_id, user_id) is not None and all(
            name in session.places for session in self._sessions.of_user(user_id)
        )

    async def _admit_late(
        self, user_id: str, conversation_id: str, created: ConversationCreated | None = None
    ) -> None:
        turn = self._turns.setdefault((user_id, conversation_id), asyncio.Lock())
        async with turn:
            if self.knows(conversation_id, user_id):
                return
            try:
                await self._admit_now(user_id, conversation_id, created)
            finally:
                self._drop_expected([conversation_id], user_id)
                self._tidy([conversation_id])

    async def _admit_now(
        self, user_id: str, conversation_id: str, created: ConversationCreated | None
    ) -> None:
        contacts = await self._memberships.contacts([conversation_id], CONTACTS_AT_ONCE) - {user_id}
        await self._room_membership.subscribe(
            [rooms.conversation(conversation_id), *map(rooms.presence, contacts)]
        )
        membership = await self._still_member(user_id, conversation_id)
        if membership is None:
            self.expel_missed(conversation_id, user_id)
            return
        self._membership_cache.put(membership)
        if created is not None:
            self._tell(_admitted(created, membership))
        await self._join_backfill.catch_up(membership, lambda: self._outside(user_id, conversation_id))
        if self._membership_cache.role(conversation_id, user_id) is not None:
            for session in self._sessions.of_user(user_id):
                self._room_membership.enter(session, rooms.conversation(conversation_id))
            await self._presence_subscriptions.joined(conversation_id, user_id, contacts)

    async def _still_member(self, user_id: str, conversation_id: str) -> Membership | None:
        """The membership of a user whose conversation is listened to, as it was when it was."""
        while self._sessions.of_user(user_id):
            self._membership_cache.expect_membership(conversation_id, user_id)
            await self._listen([conversation_id])
            # Read last, for they may have gone again meanwhile; and once more if that was heard then.
            membership = await self._memberships.get(conversation_id, user_id)
            if membership is None or conversation_id in self._membership_cache.conversations_of(user_id):
                return membership
        return None

    def _outside(self, user_id: str, conversation_id: str) -> list[Session]:
        """A member's sockets that are connected, and do not hear the conversation yet."""
        if self._membership_cache.role(conversation_id, user_id) is None:
            return []
        place = rooms.conversation(conversation_id)
        return [s for s in self._sessions.of_user(user_id) if s.connected and place not in s.places]

    def expel(self, conversation_id: str, user_id: str) -> None:
        """A local user is no longer in a conversation."""
        for session in self._sessions.of_user(user_id):
            if rooms.conversation(conversation_id) in session.places:
                session.left[conversation_id] = self._streams.head(conversation_id)[0]
            self._room_membership.leave(session, rooms.joined(conversation_id))
            self._room_membership.leave(session, rooms.conversation(conversation_id))
        self._membership_cache.remove(conversation_id, user_id)
        self._tidy([conversation_id])

    def expel_missed(self, conversation_id: str, user_id: str) -> None:
        """A local user was found to be no longer in a conversation: tell, for who is out hears no event."""
        if self._membership_cache.role(conversation_id, user_id) is not None:
            # Who did it is not stored.
            self._tell(MemberRemoved(conversation_id=conversation_id, user_id=user_id, by="", at=now()))
        self.expel(conversation_id, user_id)

    async def _listen(self, conversation_ids: Collection[str]) -> None:
        """Open the streams of conversations whose channels are subscribed to, from their heads."""
        fresh = [c for c in conversation_ids if self._streams.open(c)]
        heads = await self._conversations.get(fresh) if fresh else {}
        for conversation in heads.values():
            # Whoever else listened may have gone meanwhile, and have closed it.
            self._streams.open(conversation.id)
            self._streams.start(conversation)
        for conversation_id in conversation_ids:
            self._membership_cache.advance(conversation_id, self._streams.head(conversation_id)[0])

    def _forget(self, session: Session) -> None:
        user_id = session.person.id
        conversations = list(self._membership_cache.conversations_of(user_id))
        if self._sessions.pop(session.sid) is not None:
            self._room_membership.give_up(session)
            self._membership_cache.remove_socket(user_id)
            if all(s.connected for s in self._sessions.of_user(user_id)):
                self._drop_expected(conversations, user_id)
            self._tidy(conversations)

    def _drop_expected(self, conversation_ids: Iterable[str], user_id: str) -> None:
        """What failed half way leaves nothing behind that would pass for done."""
        for conversation_id in conversation_ids:
            if self._membership_cache.role(conversation_id, user_id) is None:
                self._membership_cache.remove(conversation_id, user_id)

    def _tidy(self, conversation_ids: Iterable[str]) -> None:
        for conversation_id in conversation_ids:
            if conversation_id not in self._membership_cache.conversations:
                self._streams.close(conversation_id)


def _admitted(created: ConversationCreated, membership: Membership) -> Admitted:
    unread = membership.unread(created.conversation.last_seq)
    return Admitted(membership.user_id, ConversationView(created.conversation, created.members, unread))
