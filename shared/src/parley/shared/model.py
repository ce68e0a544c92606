"""The values that all services share, and their limits."""

from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha1
from os import urandom
from typing import Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

Kind = Literal["direct", "group"]
Role = Literal["owner", "admin", "member"]
MessageType = Literal["text", "file", "system"]

MAX_CONTENT = 8_000
"""Characters of a message's content."""
MAX_ID = 128
"""Characters of an id that Parley does not assign: user ids, temporary ids."""
UUID_LENGTH = 36
"""Characters of a UUID in its usual form."""
MAX_ATTACHMENTS = 10
"""Attachments of one message."""
MAX_EXTRA = 2_000
"""Characters of a message's `extra`."""
MAX_MILESTONES = 100
"""Milestones of one contract."""
MAX_TITLE = 200
"""Characters of a conversation's title."""
MAX_PARTICIPANTS = 1_000
"""Users that one command may add to a conversation."""
MEMBERS_SHOWN = 50
"""Members that a list entry, or the event of a new conversation, contains."""
NAMED_AT_ONCE = 100
"""Users that one event of added members names."""
MAX_PAGE = 100
"""Entries of one page of a list."""
MAX_SYNCED = 100
"""Conversations of one `sync`."""
REMEMBERED_CHANGES = 8
"""Changes of a message that `changed_by` names; the collection `changes` has the earlier ones."""
PREVIEW = 200
"""Characters of the last message in a list of conversations."""
REMEMBERED_EPOCHS = 16
"""Epochs of a conversation that are kept, the last ones."""
MAX_CHANGES = 500
"""Changes of one conversation that one `sync` returns; a client further behind gets `tooFar`."""

_NAMESPACE = UUID("2f5f3a52-6f0e-5f0b-9d0a-7f1d3f6f6c11").bytes


class Person(Struct, frozen=True, kw_only=True, rename="camel"):
    """A user as their token describes them."""

    id: str
    name: str = ""
    username: str = ""
    first_name: str | None = None
    last_name: str | None = None
    avatar: str | None = None
    role: str | None = None
    type: str | None = None
    department: str | None = None
    permissions: tuple[str, ...] = ()


class Revocation(Struct, frozen=True, kw_only=True, rename="camel"):
    """Tokens that are refused before they expire.

    They are the tokens of a user issued up to `before` (Unix time), the token with an id (its `jti`), or
    both. From `until` on all of them have expired, and the revocation is deleted.
    """

    id: str
    user_id: str | None = None
    token_id: str | None = None
    before: float
    until: datetime


class Member(Struct, frozen=True, kw_only=True, rename="camel"):
    """A user and their role in a conversation."""

    person: Person
    role: Role


class Attachment(Struct, frozen=True, kw_only=True, rename="camel"):
    """A file that a message refers to; `size` in bytes, `type` a media type (RFC 6838)."""

    id: str
    name: str
    size: int
    type: str


class Message(Struct, frozen=True, kw_only=True, rename="camel"):
    """One message; `seq` and `rev` are 0 until it is stored."""

    id: str
    conversation_id: str
    sender_id: str
    content: str
    created_at: datetime
    type: MessageType = "text"
    seq: int = 0
    rev: int = 0
    epoch: int = 0
    """The epoch of `rev`: names the run of a worker that assigned it, so that two histories differ in it."""
    attachments: tuple[Attachment, ...] = ()
    extra: str | None = None
    """Fields that only clients of one protocol know: a JSON object, as text."""
    reply_to: str | None = None
    client_message_id: str | None = None
    temp_id: str | None = None
    stored_at: datetime | None = None
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    change_id: str | None = None
    """The id of the record that changed it last."""
    changed_by: tuple[str, ...] = ()
    """The ids of the last records that changed it, so that a redelivered one does not undo a later one."""
    change_count: int = 0
    """The place of its last change in the order of its changes."""


class Digest(Struct, frozen=True, kw_only=True, rename="camel"):
    """The part of the last message that a list of conversations shows."""

    id: str
    seq: int
    sender_id: str
    content: str
    type: MessageType
    created_at: datetime
    deleted_at: datetime | None = None
    stored_at: datetime | None = None


class Epoch(Struct, frozen=True, rename="camel"):
    """A run of a worker that assigned the revisions of a conversation from `since` on."""

    id: int
    since: int


class Conversation(Struct, frozen=True, kw_only=True, rename="camel"):
    """A conversation and its head: the last assigned `seq` and `rev`, and the last epochs."""

    id: str
    kind: Kind
    created_by: str
    created_at: datetime
    title: str = ""
    direct_key: str | None = None
    contract_id: str | None = None
    milestone_id: str | None = None
    created_from: str | None = None
    """A digest of the request that created it, if its client had named it: a retry must be the same."""
    last_seq: int = 0
    rev: int = 0
    epochs: tuple[Epoch, ...] = ()
    last_message: Digest | None = None

    @property
    def last_activity_at(self) -> datetime:
        """The time of the last message, or of the creation if there is none."""
        return self.last_message.created_at if self.last_message else self.created_at

    def as_seen_from(self, hidden_seq: int) -> "Conversation":
        """Return the conversation without a last message that is hidden."""
        is_hidden = self.last_message is not None and self.last_message.seq <= hidden_seq
        return replace(self, last_message=None) if is_hidden else self

    @property
    def epoch(self) -> int:
        """The id of the epoch of `rev`; 0 for a revision of version 0.1.0, which knew no epochs."""
        return self.epoch_at(self.rev) or 0

    def epoch_at(self, rev: int) -> int | None:
        """Return the id of a revision's epoch; None if it is too long ago."""
        if len(self.epochs) == REMEMBERED_EPOCHS and rev < self.epochs[0].since:
            return None
        return max(((e.since, e.id) for e in self.epochs if e.since <= rev), default=(0, 0))[1]


class Contract(Struct, frozen=True, kw_only=True, rename="camel"):
    """An agreement of a client and a freelancer, divided into milestones."""

    id: str
    client_id: str
    freelancer_id: str
    milestones: tuple[str, ...] = ()
    share_history: bool = False
    """Whether a new party may read what was said before."""


class Membership(Struct, frozen=True, kw_only=True, rename="camel"):
    """A user's membership in a conversation, with the marks and counters of the unread count."""

    conversation_id: str
    user_id: str
    role: Role = "member"
    joined_at: datetime
    join_seq: int = 0
    left_at: datetime | None = None
    read_seq: int = 0
    delivered_seq: int = 0
    own_seq: int = 0
    own_since_read: int = 0
    archived_at: datetime | None = None
    hidden_seq: int = 0
    """The number up to which messages are not the user's to read: they were sent before the user came."""

    @property
    def archived(self) -> bool:
        """Whether the user has archived the conversation."""
        return self.archived_at is not None

    @property
    def base(self) -> int:
        """The `seq` up to which no message counts as unread."""
        return max(self.read_seq, self.join_seq)

    def unread(self, last_seq: int, deleted: int) -> int:
        """Return the number of others' messages above the read mark that can be read.

        Args:
            last_seq: The number of the conversation's last message.
            deleted: The number of others' messages above the read mark that were deleted.
        """
        return max(0, last_seq - self.base - self.own_since_read - deleted)


def digest(message: Message) -> Digest:
    """Return the part of a message that lists of conversations show."""
    return Digest(
        id=message.id,
        seq=message.seq,
        sender_id=message.sender_id,
        content=message.content[:PREVIEW],
        type=message.type,
        created_at=message.created_at,
        deleted_at=message.deleted_at,
        stored_at=message.stored_at,
    )


def now() -> datetime:
    """Return the time in UTC, in milliseconds: the precision of MongoDB's dates."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def new_id() -> str:
    """Return a random id."""
    return _uuid_text(urandom(16), 4)


def message_id(sender_id: str, conversation_id: str, client_message_id: str | None) -> str:
    """Return the id of a message, which is the same for each retry with a `client_message_id`.

    It is a UUIDv5 (RFC 9562, section 5.5) of the sender, the conversation and the client's id, so that
    idempotency needs neither a lookup nor an expiry. Without a client's id it is random.
    """
    if client_message_id is None:
        return new_id()
    return _named_id(f"{sender_id}\0{conversation_id}\0{_canonical(client_message_id)}")


def conversation_id(creator_id: str, client_conversation_id: str) -> str:
    """Return the id of a conversation, which is the same for each retry with a client's id for it.

    It is a UUIDv5 (RFC 9562, section 5.5) of the creator and the client's id.
    """
    return _named_id(f"conversation\0{creator_id}\0{client_conversation_id.lower()}")


def _canonical(client_id: str) -> str:
    """Return a client's id in one spelling, if it is a UUID: in upper case, without dashes, in braces."""
    if len(client_id) != UUID_LENGTH:
        with suppress(ValueError):
            return str(UUID(client_id))
    return client_id.lower()


def _named_id(name: str) -> str:
    return _uuid_text(sha1(_NAMESPACE + name.encode(), usedforsecurity=False).digest()[:16], 5)


def _uuid_text(content: bytes, version: int) -> str:
    """Format 16 bytes as a UUID; the class of the standard library takes four times as long."""
    octets = bytearray(content)
    octets[6] = octets[6] & 0x0F | version << 4
    octets[8] = octets[8] & 0x3F | 0x80
    text = octets.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def contract_key(contract_id: str, milestone_id: str | None) -> str:
    """Return the unique key of the conversation of a contract, or of one of its milestones."""
    return f"contract:{len(contract_id)}:{contract_id}:{milestone_id or ''}"


def direct_key(one: str, other: str) -> str:
    """Return the unique key of the direct conversation of two users, in either order."""
    first, second = sorted((one, other))
    return f"{len(first)}:{first}:{second}"
