"""How values lie in MongoDB: collections, and value to document and back."""

from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from parley.shared.model import Membership

Document = dict[str, Any]
T = TypeVar("T", bound=Struct)

CONVERSATIONS = "conversations"
MEMBERSHIPS = "memberships"
MESSAGES = "messages"
USERS = "users"
CONTRACTS = "contracts"
ATTACHMENTS = "attachments"
FILES = "attachments.files"
FILE_CHUNKS = "attachments.chunks"
ATTACHMENT_USES = "attachment_uses"
ATTEMPTS = "attempts"
REVOCATIONS = "revocations"


def exactly(value: Any) -> Document:
    """The condition that a field has this value, and is no list that holds it.

    The same to MongoDB as the bare value; to servers that look into lists for a bare one, it is what
    lets them use an index.
    """
    return {"$eq": value}


def membership_id(conversation_id: str, user_id: str) -> str:
    """The `_id` of a user's membership in a conversation."""
    return f"{conversation_id}:{user_id}"


def to_document(value: Struct) -> Document:
    """The document that holds a value; what is None is left out."""
    fields = msgspec.to_builtins(value, builtin_types=(datetime,))
    document = {name: field for name, field in fields.items() if field is not None}
    if isinstance(value, Membership):
        return {"_id": membership_id(value.conversation_id, value.user_id), **document}
    return {"_id": document.pop("id"), **document}


def from_document(cls: type[T], document: Document) -> T:
    """The value that a document holds; fields of a newer version are passed over."""
    known = _FIELDS.get(cls) or _FIELDS.setdefault(cls, frozenset(cls.__struct_encode_fields__))
    fields = {name: field for name, field in document.items() if name in known}
    if "id" in known:
        fields["id"] = document["_id"]
    return msgspec.convert(fields, cls)


_FIELDS: dict[type[Struct], frozenset[str]] = {}
