"""Recounts one conversation: numbers, head and unread counters.

The services may run meanwhile. A worker writes messages, then counters, then the head. So the head is read
first here, then the counters, then the messages: up to that head, counters and messages must be complete.
Messages above it may just have arrived: the head is behind only if it is still below them a moment later.
Memory grows with the members of one conversation, not with its messages.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from parley.cli.verify import repairs
from parley.cli.verify.inconsistency import Inconsistency
from parley.shared.documents import CONVERSATIONS, MEMBERSHIPS, MESSAGES, Document

MEMBER = ("userId", "readSeq", "joinSeq", "ownSeq", "ownSinceRead", "leftAt")
MESSAGE = {"seq": 1, "rev": 1, "senderId": 1, "deletedAt": 1, "attachments.id": 1}
BY_NUMBER = [("conversationId", 1), ("seq", 1)]
AT_ONCE = 1_000
SHOWN = 5
STORED_SECONDS = 1.0
"""Time from a message to its head: a worker writes both in one batch."""


@dataclass(slots=True)
class Counted:
    """One member's counters as they are stored, and the own messages that were counted for them."""

    stored: Document
    own: int = 0
    own_above_head: int = 0

    @property
    def base(self) -> int:
        return int(max(self.stored["readSeq"], self.stored["joinSeq"]))


@dataclass
class Recount:
    """The recount of one conversation; `head` is its document as it was read before everything else."""

    head: Document
    members: dict[str, Counted] = field(default_factory=dict)
    messages: int = 0
    last_seq: int = 0
    last_rev: int = 0
    head_is_behind: bool = False
    holes: list[tuple[int, int]] = field(default_factory=list)
    hole_count: int = 0
    doubles: list[int] = field(default_factory=list)

    @property
    def conversation_id(self) -> str:
        return str(self.head["_id"])

    def is_past(self, head: Document) -> bool:
        """Return whether messages were found that a head does not include."""
        return bool(self.last_seq > head["lastSeq"] or self.last_rev > head["rev"])

    def add(self, message: Document) -> None:
        """Count the next message, in the order of the numbers."""
        seq = message["seq"]
        if seq > self.last_seq + 1:
            self._add_hole(self.last_seq + 1, seq - 1)
        elif seq <= self.last_seq:
            self.doubles.append(seq)
        self.messages += 1
        self.last_seq = max(self.last_seq, seq)
        self.last_rev = max(self.last_rev, message["rev"])
        member = self.members.get(message["senderId"])
        if member is not None and seq > member.base:
            upto = max(self.head["lastSeq"], member.stored["ownSeq"])
            member.own += seq <= upto
            member.own_above_head += seq > upto

    def end(self) -> None:
        """Note the messages that are missing between the last one and the head."""
        if self.last_seq < self.head["lastSeq"]:
            self._add_hole(self.last_seq + 1, self.head["lastSeq"])

    def inconsistencies(self) -> Iterator[Inconsistency]:
        """Yield what is wrong."""
        if self.hole_count:
            yield self._holes()
        if self.doubles:
            yield self._found(
                "double", f"has more than one message of number {self.doubles[0]}: build the index `number`."
            )
        if self.head_is_behind:
            yield self._head_behind()
        yield from filter(None, map(self._counters, self.members.values()))

    def _add_hole(self, first: int, last: int) -> None:
        self.hole_count += last - first + 1
        if len(self.holes) < SHOWN:
            self.holes.append((first, last))

    def _holes(self) -> Inconsistency:
        spans = ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in self.holes)
        return self._found(
            "hole",
            f"lacks {self.hole_count:,} message(s), numbers {spans}{' …' * (len(self.holes) == SHOWN)}: "
            "restore them from a backup; nothing else has them.",
        )

    def _head_behind(self) -> Inconsistency:
        return self._found(
            "head",
            f"ends at number {self.head['lastSeq']} and revision {self.head['rev']}, but {self.last_seq} and "
            f"{self.last_rev} are stored: --repair moves its head there.",
            repair=repairs.head(self.head, self.last_seq, self.last_rev),
        )

    def _counters(self, member: Counted) -> Inconsistency | None:
        stored = member.stored
        if "leftAt" in stored:
            return None
        right = member.own + (member.own_above_head if self.head_is_behind else 0)
        if stored["ownSinceRead"] == right:
            return None
        upto = max(self.head["lastSeq"], stored["ownSeq"], self.last_seq if self.head_is_behind else 0)
        return self._found(
            "counter",
            f"counts {stored['ownSinceRead']} own messages of {stored['userId']} above the read mark, but "
            f"there are {right}, so the unread count is wrong by {abs(right - stored['ownSinceRead'])}: "
            "--repair corrects it.",
            repair=repairs.counters(stored, right, upto),
            user=stored["userId"],
        )

    def _found(self, kind: str, text: str, repair: Any = None, **where: Any) -> Inconsistency:
        return Inconsistency(
            kind=kind,
            where={"conversation": self.conversation_id, **where},
            text=f"Conversation {self.conversation_id} {text}",
            repair=repair,
        )


async def recount(database: Any, head: Document) -> AsyncIterator[Document | Recount]:
    """Yield each message of a conversation, then the recount.

    Args:
        database: The database.
        head: The conversation's `_id`, `lastSeq` and `rev`.
    """
    counted = Recount(head, await _members(database, head["_id"]))
    found = database[MESSAGES].find({"conversationId": head["_id"]}, MESSAGE)
    async for message in found.sort(BY_NUMBER).hint(BY_NUMBER).batch_size(AT_ONCE):
        counted.add(message)
        yield message
    counted.end()
    if counted.is_past(head):
        await asyncio.sleep(STORED_SECONDS)
        now = await database[CONVERSATIONS].find_one({"_id": head["_id"]}, {"lastSeq": 1, "rev": 1})
        counted.head_is_behind = now is not None and counted.is_past(now)
    yield counted


async def _members(database: Any, conversation_id: str) -> dict[str, Counted]:
    found = database[MEMBERSHIPS].find({"conversationId": conversation_id}, dict.fromkeys(MEMBER, 1))
    return {member["userId"]: Counted(member) async for member in found.batch_size(AT_ONCE)}


def attached(messages: Mapping[str, Document]) -> Iterator[tuple[str, str]]:
    """Yield the attachment and the message of each reference that must exist."""
    for message_id, message in messages.items():
        if "deletedAt" not in message:
            for attachment in message.get("attachments", ()):
                yield attachment["id"], message_id
