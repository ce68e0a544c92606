"""The values that everything in Parley is about, and their limits."""

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID, uuid4, uuid5

from msgspec import Struct

Kind = Literal["direct", "group"]
Role = Literal["owner", "admin", "member"]
MessageType = Literal["text", "file", "system"]

MAX_CONTENT = 8_000
"""Characters of a message's content."""
MAX_ID = 128
"""Characters of an id that somebody else chose: users, temporary ids."""
MAX_ATTACHMENTS = 10
"""Attachments of one message."""
MAX_EXTRA = 2_000
"""Characters of what a client sends along."""
MAX_MILESTONES = 100
"""Milestones of one contract."""
MAX_TITLE = 200
"""Characters of a conversation's title."""
MAX_PARTICIPANTS = 1_000
"""People that one command may bring into a conversation."""
MEMBERS_SHOWN = 50
"""Members that a list, or the news of a conversation, shows of each."""
MAX_PAGE = 100
"""Entries of one page of a list."""
REMEMBERED_CHANGES = 8
"""Changes of one message whose records it remembers."""
MAX_CHANGES = 500
"""Changes of one conversation that one `sync` gives; past that the client is too far behind."""

_NAMESPACE = UUID("2f5f3a52-6f0e-5f0b-9d0a-7f1d3f6f6c11")


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
    """Tokens that are refused though they have not expired, until a day by which they have.

    Those of a user that were issued up to `before` (Unix time), the one of an id (its `jti`), or both.
    """

    id: str
    user_id: str | None = None
    token_id: str | None = None
    before: float
    until: datetime


class Member(Struct, frozen=True, kw_only=True, rename="camel"):
    """A person in a conversation."""

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
    attachments: tuple[Attachment, ...] = ()
    extra: str | None = None
    """What a client sent along that only clients of its kind know: a JSON object, as text."""
    reply_to: str | None = None
    client_message_id: str | None = None
    temp_id: str | None = None
    stored_at: datetime | None = None
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    change_id: str | None = None
    """The record that changed it last."""
    changed_by: tuple[str, ...] = ()
    """The last records that changed it, so that none does again, over what a later one made of it."""


class Digest(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a list of conversations shows of the last message."""

    id: str
    seq: int
    sender_id: str
    content: str
    type: MessageType
    created_at: datetime


class Conversation(Struct, frozen=True, kw_only=True, rename="camel"):
    """A conversation and its head: the last `seq` and the last `rev` given."""

    id: str
    kind: Kind
    created_by: str
    created_at: datetime
    title: str = ""
    direct_key: str | None = None
    contract_id: str | None = None
    milestone_id: str | None = None
    last_seq: int = 0
    rev: int = 0
    last_message: Digest | None = None

    @property
    def last_activity_at(self) -> datetime:
        """When something was said last, or else when it began."""
        return self.last_message.created_at if self.last_message else self.created_at


class Contract(Struct, frozen=True, kw_only=True, rename="camel"):
    """An agreement of a client and a freelancer, in milestones; they talk within it."""

    id: str
    client_id: str
    freelancer_id: str
    milestones: tuple[str, ...] = ()


class Membership(Struct, frozen=True, kw_only=True, rename="camel"):
    """One user's place in one conversation, with the marks and counters that unread needs."""

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

    @property
    def archived(self) -> bool:
        """Whether the user has put the conversation away from their list."""
        return self.archived_at is not None

    @property
    def base(self) -> int:
        """The number up to which nothing counts as unread."""
        return max(self.read_seq, self.join_seq)

    def unread(self, last_seq: int) -> int:
        """Messages of others above the read mark, of a conversation whose head is `last_seq`."""
        return max(0, last_seq - self.base - self.own_since_read)


def now() -> datetime:
    """The time in UTC with the precision that MongoDB keeps: milliseconds."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def new_id() -> str:
    """A fresh random id."""
    return str(uuid4())


def message_id(sender_id: str, conversation_id: str, client_message_id: str | None) -> str:
    """The id of a message: the same for every retry of a send that the client named.

    A UUIDv5 (RFC 9562, section 5.5) of sender, conversation and the client's name for it;
    so idempotency needs neither a look-up nor an expiry.
    """
    if client_message_id is None:
        return new_id()
    return str(uuid5(_NAMESPACE, f"{sender_id}\0{conversation_id}\0{client_message_id.lower()}"))


def contract_key(contract_id: str, milestone_id: str | None) -> str:
    """What is unique about the conversation of a contract, or of one of its milestones."""
    return f"contract:{len(contract_id)}:{contract_id}:{milestone_id or ''}"


def direct_key(one: str, other: str) -> str:
    """What is unique about the direct conversation of two people, whoever starts it."""
    first, second = sorted((one, other))
    return f"{len(first)}:{first}:{second}"
