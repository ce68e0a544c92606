"""The worker's store in memory, with the same uniqueness and the same compare-and-set."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from parley.persistence_worker.ports import (
    Head,
    HeadMove,
    MemberKey,
    Names,
    Snapshot,
    StoreUnavailable,
    Term,
    WholeBatch,
)
from parley.shared.model import Contract, Conversation, Membership, Message, Person


class Tables:
    """The stored messages, conversations, memberships and so on, by their keys."""

    def __init__(self) -> None:
        self.messages: dict[str, Message] = {}
        self.conversations: dict[str, Conversation] = {}
        self.memberships: dict[MemberKey, Membership] = {}
        self.contracts: dict[str, Contract] = {}
        self.changes: dict[str, int] = {}
        self.people: dict[str, Person] = {}
        self.issued_at: dict[str, float] = {}

    def of_conversation(self, conversation_id: str) -> list[Message]:
        found = [m for m in self.messages.values() if m.conversation_id == conversation_id]
        return sorted(found, key=lambda m: m.seq)


class MemoryMessages:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def find(self, message_ids: Sequence[str]) -> dict[str, Message]:
        return {i: self._tables.messages[i] for i in message_ids if i in self._tables.messages}

    async def insert(self, messages: Sequence[Message]) -> int:
        for index, message in enumerate(messages):
            if self.is_taken(message):
                return index
            self._tables.messages[message.id] = message
        return len(messages)

    def is_taken(self, message: Message) -> bool:
        others = self._tables.of_conversation(message.conversation_id)
        return message.id in self._tables.messages or any(
            o.seq == message.seq or o.rev == message.rev for o in others
        )

    async def replace(self, changes: Sequence[tuple[Message, int]]) -> int:
        for index, change in enumerate(changes):
            if not self._replace(*change):
                return index
        return len(changes)

    def _replace(self, message: Message, rev: int) -> bool:
        stored = self._tables.messages.get(message.id)
        others = [m for m in self._tables.of_conversation(message.conversation_id) if m.id != message.id]
        if stored is None or stored.rev != rev or any(o.rev == message.rev for o in others):
            return False
        self._tables.messages[message.id] = message
        return True

    async def past_changes(self, record_ids: Sequence[str]) -> dict[str, int]:
        return {i: self._tables.changes[i] for i in record_ids if i in self._tables.changes}

    async def note_changes(self, places: Mapping[str, int]) -> None:
        for record_id, place in places.items():
            self._tables.changes.setdefault(record_id, place)

    async def count_own(self, key: MemberKey, above: int, upto: int) -> int:
        of = self._tables.of_conversation(key[0])
        return sum(m.sender_id == key[1] and above < m.seq <= upto for m in of)

    async def senders(self, conversation_id: str, above: int, upto: int) -> set[str]:
        of = self._tables.of_conversation(conversation_id)
        return {m.sender_id for m in of if above < m.seq <= upto}


class MemoryHeads:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def read(self, conversation_ids: Sequence[str]) -> dict[str, Head]:
        known = self._tables.conversations
        return {
            i: Head(known[i].last_seq, known[i].rev, known[i].epochs) for i in conversation_ids if i in known
        }

    async def measure(self, conversation_id: str, known: Head) -> tuple[Head, Message | None]:
        stored = self._tables.of_conversation(conversation_id)
        if not stored:
            return known, None
        head = replace(known, seq=max(known.seq, stored[-1].seq))
        for m in sorted((m for m in stored if m.rev > known.rev), key=lambda m: m.rev):
            head = head.at(head.seq, m.rev, m.epoch)
        return head, stored[-1]

    async def overtaken(self, conversation_id: str, known: Head) -> list[Message]:
        stored = self._tables.of_conversation(conversation_id)
        return [m for m in stored if m.seq > known.seq and m.rev <= known.rev]

    async def note_epochs(self, conversation_id: str, known: Head, measured: Head) -> None:
        stored = self._tables.conversations[conversation_id]
        if stored.epochs == known.epochs:
            self._tables.conversations[conversation_id] = replace(stored, epochs=measured.epochs)

    async def begin(self, names: Names) -> Snapshot:
        tables = self._tables
        return Snapshot(
            None,
            await self.read(names.conversations),
            {i: tables.messages[i] for i in names.messages if i in tables.messages},
            {k: tables.memberships[k] for k in names.members if k in tables.memberships},
        )

    async def commit(self, moves: Sequence[HeadMove], term: Term) -> None:
        for move in (m for m in moves if m.conversation_id in self._tables.conversations):
            c = self._tables.conversations[move.conversation_id]
            if move.to.seq > c.last_seq and move.to.rev < c.rev:
                raise StoreUnavailable("another worker has given later revisions")
            further = move.to.seq >= c.last_seq and move.to.rev >= c.rev
            last = move.last_message if further else None
            self._tables.conversations[move.conversation_id] = replace(
                c,
                last_seq=max(c.last_seq, move.to.seq),
                rev=max(c.rev, move.to.rev),
                epochs=move.to.epochs if move.to.rev >= c.rev else c.epochs,
                last_message=last or c.last_message,
            )


class MemoryMemberships:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def read(self, keys: Sequence[MemberKey]) -> dict[MemberKey, Membership]:
        return {k: self._tables.memberships[k] for k in keys if k in self._tables.memberships}

    async def save(self, changes: Sequence[tuple[Membership, Membership]]) -> list[MemberKey]:
        overtaken = []
        for was, becomes in changes:
            key = (was.conversation_id, was.user_id)
            stored = self._tables.memberships[key]
            if _compared(stored) == _compared(was):
                self._tables.memberships[key] = replace(
                    stored,
                    read_seq=becomes.read_seq,
                    delivered_seq=becomes.delivered_seq,
                    own_seq=becomes.own_seq,
                    own_since_read=becomes.own_since_read,
                )
            elif _counters(stored) != _counters(becomes):
                overtaken.append(key)
        return overtaken


class MemoryWholeBatches:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._messages, self._heads = MemoryMessages(tables), MemoryHeads(tables)
        self._memberships = MemoryMemberships(tables)

    async def store(self, batch: WholeBatch) -> bool:
        if not self._is_as_expected(batch):
            return False
        await self._messages.insert(batch.messages)
        await self._memberships.save(batch.counters)
        await self._heads.commit([move for _, move in batch.moves], batch.term)
        return True

    def _is_as_expected(self, batch: WholeBatch) -> bool:
        fresh = {message.id for message in batch.messages}
        return (
            len(fresh) == len(batch.messages)
            and not any(self._messages.is_taken(message) for message in batch.messages)
            and all(self._is_member(was) for was, _ in batch.counters)
            and all(self._is_at(was, move.conversation_id) for was, move in batch.moves)
        )

    def _is_member(self, was: Membership) -> bool:
        stored = self._tables.memberships.get((was.conversation_id, was.user_id))
        return stored is not None and stored.left_at is None and _compared(stored) == _compared(was)

    def _is_at(self, was: Head, conversation_id: str) -> bool:
        stored = self._tables.conversations.get(conversation_id)
        return stored is not None and (stored.last_seq, stored.rev, stored.epochs[-1:]) == (
            was.seq,
            was.rev,
            was.epochs[-1:],
        )


def _compared(m: Membership) -> tuple[int, ...]:
    return m.read_seq, m.delivered_seq, m.own_seq, m.join_seq


def _counters(m: Membership) -> tuple[int, ...]:
    return m.read_seq, m.delivered_seq, m.own_seq, m.own_since_read
