"""The lobby: lets sockets in and out of the rooms that are theirs, now and when memberships change."""

import asyncio
from collections.abc import Collection, Iterable

import structlog

from gateway.core.access import NO_CONVERSATION, Access
from gateway.core.errors import NotFound, Unavailable
from gateway.core.ports import Conversations, Memberships, People, Presence
from gateway.core.presence import PresenceService
from gateway.core.results import ConversationView, Joined
from gateway.core.roster import Roster
from gateway.core.stream import Streams
from gateway.sockets.redis_manager import RedisManager
from gateway.sockets.sessions import Session, Sessions
from gateway.vocabularies.vocabulary import Admitted, Vocabulary
from shared import rooms
from shared.events import ConversationCreated
from shared.model import Membership, Person

log = structlog.get_logger()

CONTACTS_AT_ONCE = 500
ARRIVE_SECONDS = 10.0


class Lobby:
    """Rooms, roster and streams of the sockets on this node."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        manager: RedisManager,
        roster: Roster,
        streams: Streams,
        access: Access,
        conversations: Conversations,
        memberships: Memberships,
        people: People,
        presence: Presence,
        contacts: PresenceService,
    ) -> None:
        self._sessions = sessions
        self._manager = manager
        self._roster = roster
        self._streams = streams
        self._access = access
        self._conversations = conversations
        self._memberships = memberships
        self._people = people
        self._presence = presence
        self._contacts = contacts

    async def arrive(self, sid: str, person: Person, vocabulary: Vocabulary) -> Session:
        """Make everything ready for a socket: subscriptions first, then what they build on.

        From here on the session hears of memberships that come and go, though it enters rooms later.

        Raises:
            Unavailable: Redis or MongoDB is away.
        """
        session = Session(sid, person, vocabulary, set())
        self._sessions.add(session)
        self._roster.arrive(person)
        try:
            # Subscriptions that are not used lapse after a while.
            async with asyncio.timeout(ARRIVE_SECONDS):
                await self._get_ready(session)
        except BaseException as error:
            self._forget(session)
            self._presence.forget(person.id, sid)
            if isinstance(error, TimeoutError):
                raise Unavailable("The gateway is too slow at the moment; try again.") from error
            raise
        return session

    async def _get_ready(self, session: Session) -> None:
        person = session.person
        await self._prepare(session, [rooms.user(person.id)])
        contacts = await self._settle_in(session)
        await self._people.remember(person)
        await self._presence.arrive(person.id, session.sid)
        session.online = tuple(await self._presence.online({person.id, *contacts}))

    async def _settle_in(self, session: Session) -> set[str]:
        """Find the user's conversations, once all that they are in are subscribed to; their contacts."""
        user_id = session.person.id
        heard: set[str] = set()
        while True:
            memberships = await self._memberships.of_users([user_id])
            ids = {m.conversation_id for m in memberships}
            if ids <= heard:
                break
            await self._prepare(session, map(rooms.conversation, ids - heard))
            for conversation_id in ids - heard:
                self._roster.expect(conversation_id, user_id)
            await self._listen(ids - heard)
            heard |= ids
        for gone in heard - ids:
            self.expel(gone, user_id)
        for membership in memberships:
            self._roster.admit(membership)
        # Free unless another socket of the user failed meanwhile, and took a stream along.
        await self._listen(ids)
        contacts = await self._contacts.contacts(session.person, list(ids))
        await self._prepare(session, map(rooms.presence, contacts))
        return contacts

    async def _prepare(self, session: Session, names: Iterable[str]) -> None:
        wanted = list(names)
        await self._manager.prepare(wanted)
        for name in wanted:
            self._enter(session, name)

    def enter(self, session: Session) -> None:
        """The socket is connected: it hears its rooms from now on."""
        session.connected = True
        for room in session.rooms:
            self._manager.basic_enter_room(session.sid, session.vocabulary.namespace, room)
        self._roster.show_again(session.person.id)

    async def depart(self, sid: str) -> None:
        """The socket is gone; its rooms are left by the manager."""
        session = self._sessions.get(sid)
        if session is None:
            return
        if session.expiry is not None:
            session.expiry.cancel()
        self._forget(session)
        try:
            await self._presence.leave(session.person.id, sid)
        except Unavailable:
            log.warning("could not end a lease; it lapses", user=session.person.id)

    async def join(self, session: Session, conversation_id: str) -> Joined:
        """Have the socket hear a conversation's messages from the head that is given back.

        Raises:
            NotFound: it is not the user's.
            Unavailable: it cannot be heard now.
        """
        await self._access.role(session.person.id, conversation_id)
        if self._roster.role(conversation_id, session.person.id) is None:
            await self._admit_late(session.person.id, conversation_id)
        await self._prepare(session, [rooms.joined(conversation_id)])
        if self._roster.role(conversation_id, session.person.id) is None:
            self.leave_room(session, conversation_id)
            raise NotFound(NO_CONVERSATION)
        seq, rev = self._streams.head(conversation_id)
        return Joined(conversation_id, seq, rev)

    def leave_room(self, session: Session, conversation_id: str) -> None:
        """Have the socket hear them no more."""
        self._leave(session, rooms.joined(conversation_id))

    async def admit(self, user_id: str, created: ConversationCreated) -> Admitted | None:
        """A local user has come into a conversation; None when they knew."""
        if self._knows(created.conversation.id, user_id):
            return None
        membership = await self._admit_late(user_id, created.conversation.id)
        if membership is None:
            return None
        unread = membership.unread(created.conversation.last_seq)
        return Admitted(user_id, ConversationView(created.conversation, created.members, unread))

    def _knows(self, conversation_id: str, user_id: str) -> bool:
        """Whether all sockets of a local user hear a conversation: one may have come before it."""
        name = rooms.conversation(conversation_id)
        return self._roster.role(conversation_id, user_id) is not None and all(
            session.room(name) in session.rooms for session in self._sessions.of_user(user_id)
        )

    async def _admit_late(self, user_id: str, conversation_id: str) -> Membership | None:
        try:
            return await self._admit_now(user_id, conversation_id)
        finally:
            self._drop_expected([conversation_id], user_id)
            self._tidy([conversation_id])

    async def _admit_now(self, user_id: str, conversation_id: str) -> Membership | None:
        contacts = await self._memberships.contacts([conversation_id], CONTACTS_AT_ONCE)
        entered = [rooms.conversation(conversation_id)]
        entered += [rooms.presence(c) for c in contacts if c != user_id]
        await self._manager.prepare(entered)
        self._roster.expect(conversation_id, user_id)
        await self._listen([conversation_id])
        # Read last, for they may have gone again meanwhile.
        membership = await self._memberships.get(conversation_id, user_id)
        if membership is None:
            self.expel(conversation_id, user_id)
            return None
        self._roster.admit(membership)
        for session in self._sessions.of_user(user_id):
            for room in entered:
                self._enter(session, room)
        return membership

    def expel(self, conversation_id: str, user_id: str) -> None:
        """A local user is no longer in a conversation."""
        for session in self._sessions.of_user(user_id):
            self._leave(session, rooms.joined(conversation_id))
            self._leave(session, rooms.conversation(conversation_id))
        self._roster.expel(conversation_id, user_id)
        self._tidy([conversation_id])

    async def _listen(self, conversation_ids: Collection[str]) -> None:
        """Open the streams of conversations whose channels are subscribed to, from their heads."""
        fresh = [c for c in conversation_ids if self._streams.open(c)]
        heads = await self._conversations.get(fresh) if fresh else {}
        for conversation in heads.values():
            # Whoever else listened may have gone meanwhile, and have closed it.
            self._streams.open(conversation.id)
            self._streams.start(conversation)
        for conversation_id in conversation_ids:
            self._roster.head(conversation_id, self._streams.head(conversation_id)[0])

    def _enter(self, session: Session, name: str) -> None:
        """Have a session in a room, at once or when it is connected; not if it is gone."""
        if self._sessions.get(session.sid) is not session:
            return
        room = session.room(name)
        session.rooms.add(room)
        if session.connected:
            self._manager.basic_enter_room(session.sid, session.vocabulary.namespace, room)

    def _leave(self, session: Session, name: str) -> None:
        room = session.room(name)
        session.rooms.discard(room)
        self._manager.basic_leave_room(session.sid, session.vocabulary.namespace, room)

    def _forget(self, session: Session) -> None:
        user_id = session.person.id
        conversations = list(self._roster.places_of(user_id))
        if self._sessions.pop(session.sid) is not None:
            self._roster.leave(user_id)
            if all(s.connected for s in self._sessions.of_user(user_id)):
                self._drop_expected(conversations, user_id)
            self._tidy(conversations)

    def _drop_expected(self, conversation_ids: Iterable[str], user_id: str) -> None:
        """What failed half way leaves nothing behind that would pass for done."""
        for conversation_id in conversation_ids:
            if self._roster.role(conversation_id, user_id) is None:
                self._roster.expel(conversation_id, user_id)

    def _tidy(self, conversation_ids: Iterable[str]) -> None:
        for conversation_id in conversation_ids:
            if conversation_id not in self._roster.conversations:
                self._streams.close(conversation_id)
