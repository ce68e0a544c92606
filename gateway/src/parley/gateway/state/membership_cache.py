"""The roster: what a node knows of the users whose sockets it holds, so that a message asks no database."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from parley.shared.events import ConversationDelivered, ConversationRead
from parley.shared.model import Membership, Message, Person, Role

REMEMBERED_OWN = 256


@dataclass(slots=True)
class CachedMembership:
    """A local user's place in a conversation.

    What the database said may be older than what was heard since, so one's own messages are
    remembered for a while; `shown` is the unread count last shown, which a new socket has not heard
    when it is to be shown `again`. No `role`: not known yet.
    """

    role: Role | None = None
    base: int = -1
    own_since_read: int = 0
    own_seq: int = -1
    shown: int = 0
    again: bool = False
    own: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED_OWN))

    def unread(self, last_seq: int) -> int:
        """Messages of others above the read mark."""
        return max(0, last_seq - self.base - self.own_since_read)

    def heard_own(self, seq: int) -> None:
        """A message of one's own was passed on."""
        self.own.append(seq)
        if seq > max(self.base, self.own_seq):
            self.own_since_read += 1
            self.own_seq = seq

    def correct(self, base: int, own_since_read: int, own_seq: int) -> None:
        """Take counters that were right when `own_seq` was; never back to older ones."""
        if base < self.base or (base == self.base and own_seq <= self.own_seq):
            return
        later = sum(seq > max(base, own_seq) for seq in self.own)
        self.base, self.own_since_read = base, own_since_read + later
        self.own_seq = max(own_seq, *self.own, 0)


@dataclass(slots=True)
class LocalUser:
    """A user with sockets here."""

    person: Person
    places: dict[str, CachedMembership] = field(default_factory=dict)
    sockets: int = 0
    total: int = 0


@dataclass(slots=True)
class LocalConversation:
    """A conversation with members here: its last number, and how far someone has read and received.

    All as this node has passed it on.
    """

    seq: int = 0
    last_id: str | None = None
    read: int = 0
    received: int = 0
    users: dict[str, CachedMembership] = field(default_factory=dict)


class MembershipCache:
    """Local users and local conversations, each by id."""

    def __init__(self) -> None:
        self.users: dict[str, LocalUser] = {}
        self.conversations: dict[str, LocalConversation] = {}
        self._dirty: set[str] = set()

    def arrive(self, person: Person) -> LocalUser:
        """A socket of the user came."""
        user = self.users.setdefault(person.id, LocalUser(person))
        user.person = person
        user.sockets += 1
        return user

    def leave(self, user_id: str) -> None:
        """A socket of the user is gone; with the last one everything known of them goes."""
        user = self.users[user_id]
        user.sockets -= 1
        if user.sockets == 0:
            for conversation_id in list(user.places):
                self.expel(conversation_id, user_id)
            del self.users[user_id]

    def expect(self, conversation_id: str, user_id: str) -> None:
        """Note that a local user may have a place in a conversation, before it is read."""
        user = self.users.get(user_id)
        if user is not None and conversation_id not in user.places:
            conversation = self.conversations.setdefault(conversation_id, LocalConversation())
            user.places[conversation_id] = conversation.users[user_id] = CachedMembership()

    def admit(self, membership: Membership) -> None:
        """Note or correct a local user's place in a conversation, from what the database says."""
        self.expect(membership.conversation_id, membership.user_id)
        user = self.users.get(membership.user_id)
        if user is None:
            return
        place = user.places[membership.conversation_id]
        place.role = membership.role
        place.correct(membership.base, membership.own_since_read, membership.own_seq)
        self._dirty.add(membership.conversation_id)

    def promote(self, conversation_id: str, user_id: str) -> None:
        """A local user is the owner from now on."""
        user = self.users.get(user_id)
        if user is not None and conversation_id in user.places:
            user.places[conversation_id].role = "owner"

    def expel(self, conversation_id: str, user_id: str) -> None:
        """Forget a local user's place in a conversation."""
        user = self.users.get(user_id)
        place = user.places.pop(conversation_id, None) if user else None
        if user is None or place is None:
            return
        user.total -= place.shown
        conversation = self.conversations[conversation_id]
        del conversation.users[user_id]
        if not conversation.users:
            del self.conversations[conversation_id]
            self._dirty.discard(conversation_id)

    def show_again(self, user_id: str) -> None:
        """Have all the user's counts told once more: a new socket has not heard them."""
        for conversation_id, place in self.users[user_id].places.items():
            place.again = place.shown != 0
            self._dirty.add(conversation_id)

    def role(self, conversation_id: str, user_id: str) -> Role | None:
        """The user's role in a conversation, if they are a local member of it."""
        user = self.users.get(user_id)
        place = user.places.get(conversation_id) if user else None
        return place.role if place else None

    def places_of(self, user_id: str) -> list[str]:
        """The conversations in which a local user has a place."""
        user = self.users.get(user_id)
        return list(user.places) if user else []

    def known_to(self, user_id: str) -> list[str]:
        """Those of them that the user is known to be in."""
        return [c for c in self.places_of(user_id) if self.role(c, user_id) is not None]

    def members(self, conversation_id: str) -> list[str]:
        """The local users who are known to be in a conversation."""
        conversation = self.conversations.get(conversation_id)
        places = conversation.users if conversation is not None else {}
        return [user_id for user_id, place in places.items() if place.role is not None]

    def head(self, conversation_id: str, seq: int) -> None:
        """The conversation's last number is `seq`."""
        conversation = self.conversations.get(conversation_id)
        if conversation is not None and seq > conversation.seq:
            conversation.seq, conversation.last_id = seq, None
            self._dirty.add(conversation_id)

    def stored(self, message: Message) -> None:
        """A message was passed on for the first time."""
        conversation = self.conversations.get(message.conversation_id)
        if conversation is None:
            return
        if message.seq > conversation.seq:
            conversation.seq, conversation.last_id = message.seq, message.id
        place = conversation.users.get(message.sender_id)
        if place is not None:
            place.heard_own(message.seq)
        self._dirty.add(message.conversation_id)

    def read(self, event: ConversationRead) -> None:
        """A user's read mark moved."""
        conversation = self.conversations.get(event.conversation_id)
        if conversation is None:
            return
        conversation.read = max(conversation.read, event.seq)
        place = conversation.users.get(event.user_id)
        if place is not None and event.seq > place.base:
            place.correct(event.seq, event.own_since_read, event.own_seq)
            self._dirty.add(event.conversation_id)

    def received(self, event: ConversationDelivered) -> None:
        """A user's device holds more."""
        conversation = self.conversations.get(event.conversation_id)
        if conversation is not None:
            conversation.received = max(conversation.received, event.seq)

    def seen(self, conversation_id: str, user_id: str) -> tuple[int, str | None] | None:
        """The number of what was passed on last, and its id if it is known, for a local member."""
        if self.role(conversation_id, user_id) is None:
            return None
        conversation = self.conversations[conversation_id]
        return conversation.seq, conversation.last_id

    def read_seq(self, conversation_id: str, user_id: str) -> int | None:
        """Up to where the user has read, if they are a local member."""
        known = self.role(conversation_id, user_id) is not None
        return self.users[user_id].places[conversation_id].base if known else None

    def unread(self, conversation_id: str, user_id: str) -> int | None:
        """The user's unread count, if they are a local member."""
        conversation = self.conversations.get(conversation_id)
        place = conversation.users.get(user_id) if conversation else None
        return place.unread(conversation.seq) if conversation and place and place.role else None

    def changed_counts(self) -> Iterator[tuple[str, str, int, int]]:
        """(user, conversation, unread, total) for each count that differs from what was shown last."""
        dirty, self._dirty = self._dirty, set()
        for conversation_id in dirty:
            conversation = self.conversations.get(conversation_id)
            if conversation is not None:
                yield from self._changed_in(conversation_id, conversation)

    def _changed_in(
        self, conversation_id: str, conversation: LocalConversation
    ) -> Iterable[tuple[str, str, int, int]]:
        for user_id, place in conversation.users.items():
            if place.role is None:
                continue
            unread = place.unread(conversation.seq)
            if unread != place.shown or place.again:
                user = self.users[user_id]
                user.total += unread - place.shown
                place.shown, place.again = unread, False
                yield user_id, conversation_id, unread, user.total
