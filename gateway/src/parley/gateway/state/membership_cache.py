"""The membership cache: roles and counters of the users with sockets on this node."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from parley.gateway.core.positions import Tombstone
from parley.gateway.state.tombstones import Tombstones
from parley.shared.events import ConversationDelivered, ConversationRead
from parley.shared.model import Membership, Message, Person, Role

NONE_DELETED = Tombstones()
"""Shared by all conversations without deleted messages; never changed."""
REMEMBERED_OWN = 256
"""Messages of a user's own whose numbers are kept in one membership."""


@dataclass(slots=True)
class CachedMembership:
    """A local user's membership of a conversation.

    Counters from the database may be older than events that were applied already. The numbers of the user's
    recent messages are kept, so that those counters can be brought up to date.

    Attributes:
        role: None until the membership was read.
        base: The number up to which the user has read, or joined.
        own_since_read: The user's own messages above `base`, up to `own_seq`.
        own_seq: The number of the user's last own message.
        reported: The unread count that was last reported to the user's sockets.
        is_unreported: Whether a new socket has not received `reported` yet.
        own: The numbers of the user's recent messages; None before the first.
        hidden: The number up to which messages are not the user's to read.
        joined_at: When the user joined.
    """

    role: Role | None = None
    base: int = -1
    own_since_read: int = 0
    own_seq: int = -1
    reported: int = 0
    is_unreported: bool = False
    own: deque[int] | None = None
    hidden: int = 0
    joined_at: datetime | None = None

    def unread(self, last_seq: int, deleted: int) -> int:
        """Return the messages of other members above the read mark, without `deleted` of them."""
        return max(0, last_seq - self.base - self.own_since_read - deleted)

    def is_later_than(self, membership: Membership) -> bool:
        """Return whether the user has left and joined again since a membership was read."""
        return self.joined_at is not None and self.joined_at > membership.joined_at

    def add_own(self, seq: int) -> None:
        """Count a message of the user's own."""
        if self.own is None:
            # An empty one takes 750 bytes, and most members of a group never write.
            self.own = deque(maxlen=REMEMBERED_OWN)
        self.own.append(seq)
        if seq > max(self.base, self.own_seq):
            self.own_since_read += 1
            self.own_seq = seq

    def update(self, base: int, own_since_read: int, own_seq: int) -> None:
        """Take counters that were right when `own_seq` was the last own message, unless they are older."""
        if base < self.base or (base == self.base and own_seq <= self.own_seq):
            return
        own = self.own or ()
        later = sum(seq > max(base, own_seq) for seq in own)
        self.base, self.own_since_read = base, own_since_read + later
        self.own_seq = max(own_seq, *own, 0)


@dataclass(slots=True)
class LocalUser:
    """A user with sockets on this node, or one whose last socket has gone lately.

    Attributes:
        unread_total: The sum of the reported counts.
        has_changed: Whether memberships were removed while the user had no socket here.
    """

    person: Person
    memberships: dict[str, CachedMembership] = field(default_factory=dict)
    sockets: int = 0
    unread_total: int = 0
    has_changed: bool = False


@dataclass(slots=True)
class LocalConversation:
    """A conversation with members on this node, as far as this node has emitted it.

    Attributes:
        seq: The number of the last message.
        last_id: The id of the last message, if it is known.
        read: The highest read mark.
        received: The highest delivered mark.
        memberships: The local memberships, by user id.
        hides: Whether a local member may have messages hidden.
        deleted: The deleted messages above the lowest read mark of a local member.
    """

    seq: int = 0
    last_id: str | None = None
    read: int = 0
    received: int = 0
    memberships: dict[str, CachedMembership] = field(default_factory=dict)
    hides: bool = False
    deleted: Tombstones = NONE_DELETED

    def unread(self, user_id: str) -> int:
        """Return the unread count of a local member."""
        cached = self.memberships[user_id]
        return cached.unread(self.seq, self.deleted.of_others(user_id, cached.base, self.seq))


class MembershipCache:
    """The local users and the local conversations, by id."""

    def __init__(self) -> None:
        self.users: dict[str, LocalUser] = {}
        self.conversations: dict[str, LocalConversation] = {}
        self._changed: set[str] = set()
        self._have_read: dict[str, set[str]] = {}

    def add_socket(self, person: Person) -> LocalUser:
        """Count a socket of a user, who is local from now on."""
        user = self.users.setdefault(person.id, LocalUser(person))
        user.person = person
        user.sockets += 1
        return user

    def remove_socket(self, user_id: str) -> None:
        """Remove a socket of a user, who stays until `remove_user`."""
        self.users[user_id].sockets -= 1

    def remove_user(self, user_id: str) -> None:
        """Remove a user and their memberships."""
        for conversation_id in self.conversations_of(user_id):
            self.remove(conversation_id, user_id)
        self.users.pop(user_id, None)

    def is_complete(self, user_id: str) -> bool:
        """Return whether all memberships of a user without sockets are known, and are right by events."""
        user = self.users.get(user_id)
        return (
            user is not None
            and not user.has_changed
            and all(cached.role is not None and cached.base >= 0 for cached in user.memberships.values())
        )

    def expect_membership(self, conversation_id: str, user_id: str) -> None:
        """Add a local user's membership without a role, before it is read from the database."""
        self.expect_memberships([conversation_id], user_id)

    def expect_memberships(self, conversation_ids: Iterable[str], user_id: str) -> None:
        """Add memberships of a local user, as `expect_membership`."""
        user = self.users.get(user_id)
        if user is None:
            return
        conversations, memberships = self.conversations, user.memberships
        for conversation_id in conversation_ids:
            if conversation_id not in memberships:
                conversation = conversations.get(conversation_id)
                if conversation is None:
                    conversation = conversations[conversation_id] = LocalConversation()
                membership = CachedMembership()
                memberships[conversation_id] = conversation.memberships[user_id] = membership

    def put(self, membership: Membership) -> None:
        """Add or update a local user's membership, as it was read from the database."""
        user, conversation_id = self.users.get(membership.user_id), membership.conversation_id
        if user is None:
            return
        if conversation_id not in user.memberships:
            self.expect_membership(conversation_id, membership.user_id)
        cached, conversation = user.memberships[conversation_id], self.conversations[conversation_id]
        cached.role, cached.hidden = membership.role, membership.hidden_seq
        cached.joined_at = membership.joined_at
        if cached.hidden:
            conversation.hides = True
        cached.update(membership.base, membership.own_since_read, membership.own_seq)
        # Without the deleted messages the count is not higher.
        if cached.reported or cached.unread(conversation.seq, 0):
            self._changed.add(conversation_id)

    def has_rejoined(self, membership: Membership) -> bool:
        """Return whether a local user left and joined again since this membership was put here before."""
        cached = self._membership(membership.conversation_id, membership.user_id)
        return cached is not None and cached.joined_at is not None and membership.joined_at > cached.joined_at

    def set_owner(self, conversation_id: str, user_id: str) -> None:
        """Make a local member the owner."""
        cached = self._membership(conversation_id, user_id)
        if cached is not None:
            cached.role = "owner"

    def remove(self, conversation_id: str, user_id: str) -> None:
        """Remove a local user's membership."""
        user = self.users.get(user_id)
        if user is None:
            return
        user.has_changed = user.has_changed or user.sockets == 0
        cached = user.memberships.pop(conversation_id, None)
        if cached is None:
            return
        user.unread_total -= cached.reported
        conversation = self.conversations[conversation_id]
        del conversation.memberships[user_id]
        if not conversation.memberships:
            del self.conversations[conversation_id]
            self._changed.discard(conversation_id)

    def report_again(self, user_id: str) -> None:
        """Report all counts of a user once more, because a new socket has not received them."""
        for conversation_id, cached in self.users[user_id].memberships.items():
            cached.is_unreported = cached.reported != 0
            if cached.is_unreported:
                self._changed.add(conversation_id)

    def role(self, conversation_id: str, user_id: str) -> Role | None:
        """Return a local member's role."""
        cached = self._membership(conversation_id, user_id)
        return cached.role if cached else None

    def hidden(self, conversation_id: str, user_id: str) -> int:
        """Return the number up to which messages are not a local member's to read."""
        cached = self._membership(conversation_id, user_id)
        return cached.hidden if cached else 0

    def hidden_from(self, conversation_id: str, seq: int) -> list[str]:
        """Return the local members who may not read the message with this number."""
        conversation = self.conversations.get(conversation_id)
        if conversation is None or not conversation.hides:
            return []
        return [user_id for user_id, cached in conversation.memberships.items() if seq <= cached.hidden]

    def memberships_of(self, user_id: str) -> Mapping[str, CachedMembership]:
        """Return the memberships of a local user by conversation, expected ones included."""
        user = self.users.get(user_id)
        return user.memberships if user else {}

    def conversations_of(self, user_id: str) -> list[str]:
        """Return the conversations of a local user, expected memberships included."""
        user = self.users.get(user_id)
        return list(user.memberships) if user else []

    def known_conversations_of(self, user_id: str) -> list[str]:
        """Return the conversations of a local user whose memberships were read."""
        return [c for c in self.conversations_of(user_id) if self.role(c, user_id) is not None]

    def members_of(self, conversation_id: str) -> list[str]:
        """Return the local users whose memberships of a conversation were read."""
        conversation = self.conversations.get(conversation_id)
        memberships = conversation.memberships if conversation is not None else {}
        return [user_id for user_id, cached in memberships.items() if cached.role is not None]

    def advance(self, conversation_id: str, seq: int) -> None:
        """Raise the number of a conversation's last message to `seq`."""
        conversation = self.conversations.get(conversation_id)
        if conversation is not None and seq > conversation.seq:
            conversation.seq, conversation.last_id = seq, None
            # An expected membership has a count from `put` on.
            if any(cached.role is not None for cached in conversation.memberships.values()):
                self._changed.add(conversation_id)

    def forget_counts(self, conversation_id: str) -> None:
        """Forget what was counted in a conversation whose stored history was replaced by another."""
        conversation = self.conversations.get(conversation_id)
        if conversation is not None:
            conversation.seq, conversation.last_id, conversation.read, conversation.received = 0, None, 0, 0
            for cached in conversation.memberships.values():
                cached.base, cached.own_since_read, cached.own_seq = -1, 0, -1
                cached.own = None
            conversation.deleted = NONE_DELETED

    def apply_message(self, message: Message) -> None:
        """Count a message that is emitted for the first time."""
        conversation = self.conversations.get(message.conversation_id)
        if conversation is None:
            return
        if message.seq > conversation.seq:
            conversation.seq, conversation.last_id = message.seq, message.id
        sender = conversation.memberships.get(message.sender_id)
        if sender is not None:
            sender.add_own(message.seq)
        self._changed.add(message.conversation_id)

    def has_counts(self, conversation_id: str, user_id: str) -> bool:
        """Return whether all is known that a local member's unread count needs."""
        cached = self._membership(conversation_id, user_id)
        return cached is not None and cached.role is not None and cached.base >= 0

    def add_deleted(self, conversation_id: str, tombstones: Iterable[Tombstone]) -> None:
        """Leave deleted messages out of the unread counts; those that are known change nothing."""
        conversation = self.conversations.get(conversation_id)
        if conversation is None:
            return
        if conversation.deleted is NONE_DELETED:
            conversation.deleted = Tombstones()
        for tombstone in tombstones:
            conversation.deleted.add(tombstone)
        self._changed.add(conversation_id)

    def apply_read(self, event: ConversationRead) -> None:
        """Move a read mark."""
        conversation = self.conversations.get(event.conversation_id)
        if conversation is None:
            return
        conversation.read = max(conversation.read, event.seq)
        reader = conversation.memberships.get(event.user_id)
        if reader is not None and event.seq > reader.base:
            reader.update(event.seq, event.own_since_read, event.own_seq)
            conversation.deleted.prune(each.base for each in conversation.memberships.values())
            self._have_read.setdefault(event.conversation_id, set()).add(event.user_id)

    def apply_delivered(self, event: ConversationDelivered) -> None:
        """Move a delivered mark."""
        conversation = self.conversations.get(event.conversation_id)
        if conversation is not None:
            conversation.received = max(conversation.received, event.seq)

    def last_message(self, conversation_id: str, user_id: str) -> tuple[int, str | None] | None:
        """Return number and, if known, id of the last message that was emitted, for a local member."""
        if self.role(conversation_id, user_id) is None:
            return None
        conversation = self.conversations[conversation_id]
        return conversation.seq, conversation.last_id

    def read_seq(self, conversation_id: str, user_id: str) -> int | None:
        """Return a local member's read mark."""
        cached = self._membership(conversation_id, user_id)
        return cached.base if cached and cached.role is not None else None

    def unread(self, conversation_id: str, user_id: str) -> int | None:
        """Return a local member's unread count."""
        cached = self._membership(conversation_id, user_id)
        if cached is None or cached.role is None:
            return None
        return self.conversations[conversation_id].unread(user_id)

    def take_changed(self) -> Collection[str]:
        """Return the conversations in which the counts of any member may have changed; each once."""
        changed, self._changed = self._changed, set()
        return changed

    def take_read(self) -> Mapping[str, Collection[str]]:
        """Return, by conversation, the local users who have read: only their own counts change; each once."""
        have_read, self._have_read = self._have_read, {}
        return have_read

    def changed_counts(
        self, conversation_id: str, readers: Collection[str] | None = None
    ) -> Iterator[tuple[str, int, int]]:
        """Yield (user, unread, total) for each count that differs from what was reported, and report it.

        Args:
            conversation_id: The conversation.
            readers: The users who have read: only their counts are looked at, and are reported in any case,
                because a client may know an earlier count by HTTP that was not reported. Else all members.
        """
        conversation = self.conversations.get(conversation_id)
        if conversation is None:
            return
        if readers is None:
            self._changed.discard(conversation_id)
        deleted, seq, have_read = conversation.deleted, conversation.seq, readers is not None
        for user_id in conversation.memberships if readers is None else readers:
            cached = conversation.memberships.get(user_id)
            if cached is None:
                continue
            unread = cached.unread(seq, deleted.of_others(user_id, cached.base, seq) if deleted else 0)
            if cached.role is not None and (have_read or unread != cached.reported or cached.is_unreported):
                user = self.users[user_id]
                user.unread_total += unread - cached.reported
                cached.reported, cached.is_unreported = unread, False
                yield user_id, unread, user.unread_total

    def _membership(self, conversation_id: str, user_id: str) -> CachedMembership | None:
        user = self.users.get(user_id)
        return user.memberships.get(conversation_id) if user else None
