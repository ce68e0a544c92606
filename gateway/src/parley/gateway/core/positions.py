"""Positions in conversations, and the offset by which a client names the last message it has received."""

import re
from typing import Any, NamedTuple

from parley.shared.model import Conversation

OFFSET = re.compile(r"(.{1,128}):(\d{1,15}):(\d{1,15})", re.DOTALL)


class Position(NamedTuple):
    """A position in a conversation: the number of its last message, its last revision, the latter's epoch."""

    seq: int
    rev: int
    epoch: int = 0


class Revision(NamedTuple):
    """A revision of a conversation, and its epoch; None if the holder of the revision does not know it."""

    rev: int
    epoch: int | None


def head_of(conversation: Conversation) -> Position:
    """Return the position of a conversation's stored head."""
    return Position(conversation.last_seq, conversation.rev, conversation.epoch)


def offset_of(conversation_id: str, at: Position) -> str:
    """Return the offset that names a position; clients send it back unread when they reconnect."""
    return f"{conversation_id}:{at.seq}:{at.rev}"


def parse_offset(value: Any) -> tuple[str, Position] | None:
    """Return the conversation and position that an offset names; None for anything else."""
    found = OFFSET.fullmatch(value) if isinstance(value, str) else None
    return (found[1], Position(int(found[2]), int(found[3]))) if found else None


class Tombstone(NamedTuple):
    """The number of a deleted message, and the user who had sent it."""

    seq: int
    sender_id: str
