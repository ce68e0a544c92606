"""Collections of MongoDB, and the conversion of values to documents and back."""

from collections.abc import Collection
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
CHANGES = "changes"
USERS = "users"
CONTRACTS = "contracts"
ATTACHMENTS = "attachments"
FILES = "attachments.files"
FILE_CHUNKS = "attachments.chunks"
ATTACHMENT_USES = "attachment_uses"
ATTEMPTS = "attempts"
REVOCATIONS = "revocations"
UPLOAD_QUOTAS = "upload_quotas"
MIGRATIONS = "migrations"
LAYOUTS = "layouts"
RESTORATIONS = "restorations"
SEARCH_BLOCKS = "search_blocks"
SEARCH_WORDS = "search_words"


def membership_id(conversation_id: str, user_id: str) -> str:
    """Return the `_id` of a user's membership in a conversation."""
    return f"{conversation_id}:{user_id}"


def member_of(conversation_id: str, membership: str) -> str:
    """Return the user whose membership in a conversation has this `_id`."""
    return membership[len(conversation_id) + 1 :]


def to_document(value: Struct) -> Document:
    """Return a value's document, without the fields that are None."""
    fields = msgspec.to_builtins(value, builtin_types=(datetime,))
    document = {name: field for name, field in fields.items() if field is not None}
    if isinstance(value, Membership):
        return {"_id": membership_id(value.conversation_id, value.user_id), **document}
    return {"_id": document.pop("id"), **document}


def from_document(cls: type[T], document: Document) -> T:
    """Return a document's value; fields of a newer version are passed over."""
    known = _known(cls)
    fields = {name: field for name, field in document.items() if name in known}
    if "id" in known:
        fields["id"] = document["_id"]
    return msgspec.convert(fields, cls)


def to_update(value: Struct, without: Collection[str] = ()) -> Document:
    """Return the update by which a stored document gets a value's fields, and keeps those of a newer version.

    Args:
        value: The value.
        without: Names of fields that stay as they are.
    """
    document = to_document(value)
    stay = {"_id", "id", *without}
    cleared = {name: "" for name in _known(type(value)) if name not in document and name not in stay}
    fields = {"$set": {name: field for name, field in document.items() if name not in stay}}
    return {**fields, "$unset": cleared} if cleared else fields


def _known(cls: type[Struct]) -> frozenset[str]:
    return _FIELDS.get(cls) or _FIELDS.setdefault(cls, frozenset(cls.__struct_encode_fields__))


_FIELDS: dict[type[Struct], frozenset[str]] = {}
