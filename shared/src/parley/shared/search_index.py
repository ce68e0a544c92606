"""The stored form of the search index: blocks, words, and the mark of a conversation.

`search_blocks` has a document for each 32 messages of a conversation: `terms`, the hash of the conversation's
id, and `at`, the time when its latest message was stored. `search_words` has the words, with their endings.
The conversation itself has its mark, in the field `indexed`.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec import Struct

from parley.shared.documents import Document
from parley.shared.model import Message
from parley.shared.search_terms import hash_of

INDEXED = "indexed"
BUILD = "build"
"""The id of the document that numbers the present build of the index; other marks count for nothing."""


class Mark(Struct, frozen=True, kw_only=True):
    """How far a conversation is indexed; fields in the order in which MongoDB compares two marks.

    Attributes:
        build: The build of the index.
        rev: The revision up to which all changes are indexed.
        seq: The highest number of a message that is indexed.
        at: When the latest of the indexed messages was stored.
    """

    build: int
    rev: int = 0
    seq: int = 0
    at: datetime | None = None

    def after(self, messages: Iterable[Message], rev: int) -> "Mark":
        """Return the mark when these messages, up to a revision, are indexed too."""
        seq, at = self.seq, self.at
        for message in messages:
            seq, stored_at = max(seq, message.seq), time_of(message)
            at = stored_at if at is None else max(at, stored_at)
        return Mark(build=self.build, rev=rev, seq=seq, at=at)


def time_of(message: Message) -> datetime:
    """Return when a message was stored."""
    return message.stored_at or message.created_at


def behind(build: int) -> Document:
    """Return the condition of a conversation that is not indexed up to its head, in a build of the index."""
    other_build = {"$ne": [f"${INDEXED}.build", build]}
    return {"$expr": {"$or": [other_build, {"$gt": ["$rev", f"${INDEXED}.rev"]}]}}


def mark_of(head: Document, build: int | None) -> Mark | None:
    """Return the mark in a conversation's document; None if it is of another build, or there is none."""
    mark = head.get(INDEXED)
    if mark is None or mark.get("build") != build:
        return None
    return msgspec.convert(mark, Mark)


def mark_document(mark: Mark) -> Document:
    """Return the form in which a mark is stored."""
    fields = {"build": mark.build, "rev": mark.rev, "seq": mark.seq, "at": mark.at}
    return {name: value for name, value in fields.items() if value is not None}


def block_id(conversation_id: str, block: int) -> str:
    """Return the `_id` of a block."""
    return f"{conversation_id}:{block}"


def block_of_id(text: str) -> tuple[str, int]:
    """Return the conversation and the number of a block, by its `_id`."""
    conversation_id, _, block = text.rpartition(":")
    return conversation_id, int(block)


def conversation_hash(conversation_id: str) -> int:
    """Return the number that stands for a conversation in the index of terms; another may have the same."""
    return hash_of(conversation_id)
