"""The lobby: lets sockets in and out of the rooms that are theirs, now and when memberships change."""

import asyncio
from collections.abc import Collection, Iterable

import structlog

from gateway.core.access import Access
from gateway.core.errors import Unavailable
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

HEADS_AT_ONCE = 500
PATIENCE_SECONDS = 1.0
"""What is stored is usually on its way."""


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

        Raises:
            Unavailable: Redis or MongoDB is away.
        """
        session = Session(sid, person, vocabulary, set())
        await self._manager.prepare([rooms.user(person.id)])
        memberships = await self._memberships.of_user(person.id)
        ids = [m.conversation_id for m in memberships]
        contacts = await self._contacts.contacts(person, ids)
        own = [rooms.user(person.id), *map(rooms.conversation, ids), *map(rooms.presence, contacts)]
        await self._manager.prepare(own)
        self._roster.arrive(person)
        try:
            await self._listen(memberships)
            await self._people.remember(person)
            await self._presence.arrive(person.id, sid)
            session.online = tuple(await self._presence.online({person.id, *contacts}))
        except BaseException:
            self._forget(person.id)
            raise
        session.rooms.update(map(session.room, own))
        return session

    def enter(self, session: Session) -> None:
        """The socket is connected: it hears its rooms from now on."""
        self._sessions.add(session)
        for room in list(session.rooms):
            self._enter(session, room)
        self._roster.show_again(session.person.id)

    async def depart(self, sid: str) -> Session | None:
        """The socket is gone; its rooms are left by the manager."""
        session = self._sessions.pop(sid)
        if session is None:
            return None
        if session.expiry is not None:
            session.expiry.cancel()
        self._forget(session.person.id)
        try:
            await self._presence.leave(session.person.id, sid)
        except Unavailable:
            log.warning("could not end a lease; it lapses", user=session.person.id)
        return session

    async def abandon(self, session: Session) -> None:
        """A socket for which everything was ready never connected."""
        self._forget(session.person.id)
        await self._presence.leave(session.person.id, session.sid)

    async def join(self, session: Session, conversation_id: str) -> Joined:
        """Have the socket hear a conversation's messages from the head that is given back.

        Raises:
            NotFound: it is not the user's.
        """
        await self._access.role(session.person.id, conversation_id)
        if self._roster.role(conversation_id, session.person.id) is None:
            await self._admit_late(session.person.id, conversation_id)
        self._enter(session, session.room(rooms.joined(conversation_id)))
        seq, rev = self._streams.head(conversation_id)
        return Joined(conversation_id, seq, rev)

    def leave_room(self, session: Session, conversation_id: str) -> None:
        """Have the socket hear them no more."""
        room = session.room(rooms.joined(conversation_id))
        self._manager.basic_leave_room(session.sid, session.vocabulary.namespace, room)

    async def admit(self, user_id: str, created: ConversationCreated) -> Admitted | None:
        """A local user has come into a conversation; None when they knew."""
        if self._roster.role(created.conversation.id, user_id) is not None:
            return None
        membership = await self._admit_late(user_id, created.conversation.id)
        if membership is None:
            return None
        unread = membership.unread(created.conversation.last_seq)
        return Admitted(user_id, ConversationView(created.conversation, created.members, unread))

    async def _admit_late(self, user_id: str, conversation_id: str) -> Membership | None:
        membership = await self._memberships.get(conversation_id, user_id)
        if membership is None:
            return None
        contacts = await self._memberships.contacts([conversation_id], HEADS_AT_ONCE)
        entered = [rooms.conversation(conversation_id)]
        entered += [rooms.presence(c) for c in contacts if c != user_id]
        await self._manager.prepare(entered)
        await self._listen([membership])
        for session in self._sessions.of_user(user_id):
            for room in entered:
                self._enter(session, session.room(room))
        return membership

    def expel(self, conversation_id: str, user_id: str) -> None:
        """A local user is no longer in a conversation."""
        for session in self._sessions.of_user(user_id):
            for room in (rooms.joined(conversation_id), rooms.conversation(conversation_id)):
                name = session.room(room)
                self._manager.basic_leave_room(session.sid, session.vocabulary.namespace, name)
        self._roster.expel(conversation_id, user_id)
        self._tidy([conversation_id])

    async def restore(self) -> list[Admitted]:
        """After the bus was lost: take memberships, marks and heads from MongoDB; who came in where."""
        admitted = []
        for user_id in self._sessions.user_ids():
            admitted += await self._restore_user(user_id)
        await self.audit(patience=0)
        return admitted

    async def audit(self, patience: float = PATIENCE_SECONDS) -> None:
        """Compare all heads with what was passed on `patience` seconds later, and read what is missing."""
        ids = self._streams.ids()
        for start in range(0, len(ids), HEADS_AT_ONCE):
            heads = await self._conversations.get(ids[start : start + HEADS_AT_ONCE])
            await asyncio.sleep(patience)
            late = self._streams.behind(heads)
            if late:
                log.warning("the bus had lost events", conversations=late)

    async def _restore_user(self, user_id: str) -> list[Admitted]:
        stored = {m.conversation_id: m for m in await self._memberships.of_user(user_id)}
        user = self._roster.users.get(user_id)
        known = set(user.places) if user else set()
        for conversation_id in known - stored.keys():
            self.expel(conversation_id, user_id)
        for conversation_id in known & stored.keys():
            self._roster.admit(stored[conversation_id])
        admitted = []
        for conversation_id in stored.keys() - known:
            created = await self._created(conversation_id)
            news = await self.admit(user_id, created) if created else None
            admitted += [news] if news else []
        return admitted

    async def _created(self, conversation_id: str) -> ConversationCreated | None:
        found = (await self._conversations.get([conversation_id])).get(conversation_id)
        return ConversationCreated(conversation=found, members=(), by=found.created_by) if found else None

    async def _listen(self, memberships: Collection[Membership]) -> None:
        """Open the streams of conversations whose channels are subscribed to, from their heads."""
        fresh = [m.conversation_id for m in memberships if self._streams.open(m.conversation_id)]
        heads = await self._conversations.get(fresh) if fresh else {}
        for membership in memberships:
            self._roster.admit(membership)
        for conversation in heads.values():
            self._streams.start(conversation)
        for membership in memberships:
            self._roster.head(membership.conversation_id, self._streams.head(membership.conversation_id)[0])

    def _enter(self, session: Session, room: str) -> None:
        if self._sessions.get(session.sid) is not session:
            return
        session.rooms.add(room)
        self._manager.basic_enter_room(session.sid, session.vocabulary.namespace, room)

    def _forget(self, user_id: str) -> None:
        user = self._roster.users.get(user_id)
        conversations = list(user.places) if user else []
        self._roster.leave(user_id)
        self._tidy(conversations)

    def _tidy(self, conversation_ids: Iterable[str]) -> None:
        for conversation_id in conversation_ids:
            if conversation_id not in self._roster.conversations:
                self._streams.close(conversation_id)
