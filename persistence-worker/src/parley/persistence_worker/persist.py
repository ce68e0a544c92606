"""The batch algorithm: store messages, count, advance heads, publish events.

It needs no transaction, because of three facts: a message's id is unique, its number within the
conversation is unique, and every counter carries the number up to which it has counted. So every
step can be repeated after a crash at any point, by this worker or by another. A batch of new messages
is stored by one atomic write, without a read, where that is possible: it costs less.
"""

import asyncio
from collections.abc import Iterable, Sequence

from parley.persistence_worker.batch import Batch, number
from parley.persistence_worker.changing import Changing
from parley.persistence_worker.counting import Counting
from parley.persistence_worker.epochs import Epochs
from parley.persistence_worker.known_state import KnownState
from parley.persistence_worker.measured_heads import MeasuredHeads
from parley.persistence_worker.ports import (
    EventPublisher,
    Head,
    HeadMove,
    Heads,
    Memberships,
    Messages,
    Names,
    Snapshot,
    Term,
    WholeBatch,
    WholeBatches,
)
from parley.shared import rooms
from parley.shared.events import MessageRepeated, MessageStored
from parley.shared.model import Message, digest
from parley.shared.records import Change, DeliveredMark, NewMessage, ReadMark, Record

NO_HEAD = Head(0, 0)


class Persister:
    """Persists batches of one or more partitions, one at a time: they share a connection to the database."""

    def __init__(
        self,
        messages: Messages,
        heads: Heads,
        memberships: Memberships,
        event_publisher: EventPublisher,
        whole_batches: WholeBatches | None = None,
    ) -> None:
        self._whole_batches = whole_batches
        self._known = KnownState()
        self._messages = messages
        self._heads = heads
        self._measured_heads = MeasuredHeads(heads, messages)
        self._memberships = memberships
        self._event_publisher = event_publisher
        self._epochs = Epochs()
        self._lock = asyncio.Lock()

    async def persist(self, records: Sequence[Record], *, redelivered: bool = False) -> None:
        """Store, count and publish records of one partition, in their order.

        Args:
            records: The records.
            redelivered: Some of the records may have been stored before.

        Raises:
            StoreUnavailable: The database is away; call again with the same records.
        """
        async with self._lock:
            await self._persist(records, redelivered)

    async def _persist(self, records: Sequence[Record], redelivered: bool) -> None:
        if not redelivered and await self._persist_at_once(records):
            return
        begun = await self._heads.begin(_names(records, redelivered))
        batch = await self._open(begun, redelivered)
        counting = Counting(self._messages, self._memberships, begun.members)
        await self._store([r for r in records if isinstance(r, NewMessage)], batch, counting)
        changing = Changing(self._messages, self._measured_heads, batch, counting)
        await changing.apply([r for r in records if isinstance(r, Change)])
        await counting.recount_senders(batch.uncounted)
        marks = [r for r in records if isinstance(r, ReadMark | DeliveredMark)]
        for event in await counting.settle(marks, batch.heads, repeat=redelivered):
            batch.emit(rooms.conversation(event.conversation_id), event)
        # Write counters before heads, so that a reader of both never sees counters older than the head.
        await self._heads.commit(_moves(records, batch, begun), begun.term)
        self._end(begun.term, batch, counting)
        await self._event_publisher.publish_events(batch.outgoing())

    async def _persist_at_once(self, records: Sequence[Record]) -> bool:
        """Persist new messages by one atomic write, without a read; return whether that was possible.

        The write finds out whether everything is stored as an earlier batch has left it.
        """
        known = self._known.take(records) if self._whole_batches is not None else None
        if known is None or self._whole_batches is None:
            return False
        epoch = self._epochs.begin(known.term, known.heads)
        batch = Batch(redelivered=False, heads=dict(known.heads), found={}, epoch=epoch)
        counting = Counting(self._messages, self._memberships, known.members)
        sends = [r for r in records if isinstance(r, NewMessage) and self._may_write(r, batch, counting)]
        if len(sends) < len(records):
            return False
        numbered, heads = number((r.message for r in sends), batch.heads, epoch)
        batch.heads.update(heads)
        for message, record in zip(numbered, sends, strict=True):
            self._add_stored(message, record, batch, counting)
        moves = [(known.heads[move.conversation_id], move) for move in _moves(records, batch, known)]
        whole = WholeBatch(known.term, numbered, counting.changes(), moves)
        if not await self._whole_batches.store(whole):
            return False
        self._end(known.term, batch, counting)
        await self._event_publisher.publish_events(batch.outgoing())
        return True

    def _end(self, term: Term, batch: Batch, counting: Counting) -> None:
        self._epochs.end(batch.heads)
        if self._whole_batches is not None:
            self._known.put(term, batch.heads, counting.members())

    async def _open(self, begun: Snapshot, redelivered: bool) -> Batch:
        epoch = self._epochs.begin(begun.term, begun.heads)
        batch = Batch(redelivered=redelivered, heads=dict(begun.heads), found=begun.messages, epoch=epoch)
        await self._check_heads(begun.messages.values(), batch)
        return batch

    async def _store(self, records: list[NewMessage], batch: Batch, counting: Counting) -> None:
        waiting: dict[str, NewMessage] = {}
        repeated: list[NewMessage] = []
        forbidden: list[NewMessage] = []
        for record in records:
            if record.message.id in batch.found or record.message.id in waiting:
                repeated.append(record)
            elif not self._may_write(record, batch, counting):
                forbidden.append(record)
            else:
                waiting[record.message.id] = record
        repeated += await self._refuse(forbidden, batch)
        stored = await self._insert(waiting, batch)
        for message in stored:
            self._add_stored(message, waiting[message.id], batch, counting)
        repeated += [r for r in waiting.values() if r.message.id in batch.found]
        everything = batch.found | {message.id: message for message in stored} | batch.renumbered
        for record in repeated:
            self._repeat(record, everything[record.message.id], batch, counting)

    async def _refuse(self, forbidden: Sequence[NewMessage], batch: Batch) -> list[NewMessage]:
        """Refuse messages, and return those that are stored already: their sender was a member then."""
        if forbidden:
            await self._find(forbidden, batch)
        for record in forbidden:
            if record.message.id not in batch.found:
                batch.refuse(record, "NOT_FOUND", "There is no such conversation.")
        return [record for record in forbidden if record.message.id in batch.found]

    def _may_write(self, record: NewMessage, batch: Batch, counting: Counting) -> bool:
        return record.conversation_id in batch.heads and counting.is_member(
            record.conversation_id, record.user_id
        )

    def _add_stored(self, message: Message, record: NewMessage, batch: Batch, counting: Counting) -> None:
        counting.count_own(message)
        batch.offer_last(message)
        batch.emit(
            rooms.conversation(message.conversation_id),
            MessageStored(record_id=record.id, message=message, sender=record.sender),
        )

    def _repeat(self, record: NewMessage, first: Message, batch: Batch, counting: Counting) -> None:
        counting.recount_if_behind(first)
        if _differs(record.message, first):
            batch.refuse(record, "CONFLICT", "Another message was sent with this clientMessageId.")
            return
        if batch.redelivered and first.deleted_at is None:
            stored = MessageStored(record_id=record.id, message=first, sender=record.sender)
            batch.emit(rooms.conversation(first.conversation_id), stored)
        repeated = MessageRepeated(record_id=record.id, message=first, sender=record.sender)
        batch.emit(rooms.user(record.user_id), repeated)

    async def _insert(self, waiting: dict[str, NewMessage], batch: Batch) -> list[Message]:
        """Insert with the next numbers; behind one that is stored, or whose number is taken, renumber."""
        stored: list[Message] = []
        rest = list(waiting.values())
        while rest:
            numbered, heads = number((r.message for r in rest), batch.heads, batch.epoch)
            inserted = await self._messages.insert(numbered)
            stored += numbered[:inserted]
            if inserted == len(numbered):
                batch.heads.update(heads)
                break
            rest = await self._reread(rest[inserted:], numbered[:inserted], batch)
        return stored

    async def _reread(
        self, rest: list[NewMessage], inserted: list[Message], batch: Batch
    ) -> list[NewMessage]:
        for message in inserted:
            head = batch.heads[message.conversation_id]
            batch.heads[message.conversation_id] = head.at(message.seq, message.rev, message.epoch)
        await self._find(rest, batch)
        if rest[0].message.id not in batch.found:
            # The first one was not inserted, and is not stored: another writer has taken its number.
            for conversation_id in {r.conversation_id for r in rest}:
                await self._measured_heads.measure(conversation_id, batch)
        return [r for r in rest if r.message.id not in batch.found]

    async def _find(self, records: Sequence[NewMessage], batch: Batch) -> None:
        """Find out which messages are stored already."""
        found = await self._messages.find([r.message.id for r in records])
        batch.found |= found
        await self._check_heads(found.values(), batch)

    async def _check_heads(self, found: Iterable[Message], batch: Batch) -> None:
        for message in found:
            await self._measured_heads.check(message.conversation_id, message.seq, message.rev, batch)


def _names(records: Sequence[Record], redelivered: bool) -> Names:
    sends = [r.message for r in records if isinstance(r, NewMessage)]
    return Names(
        list({r.conversation_id for r in records}),
        # A client's retry is rare, so it is found when its insert is refused. Before that, no attachment may
        # be referred to again: the message that was stored first may be deleted.
        [m.id for m in sends if redelivered or (m.client_message_id and m.attachments)],
        list({(r.conversation_id, r.user_id) for r in records}),
    )


def _moves(records: Sequence[Record], batch: Batch, begun: Snapshot) -> list[HeadMove]:
    """Return the heads of all conversations that the batch names, also of those that do not move."""
    named = dict.fromkeys(record.conversation_id for record in records)
    return [_move(c, batch, begun.heads.get(c, NO_HEAD)) for c in named]


def _move(conversation_id: str, batch: Batch, begun: Head) -> HeadMove:
    head, last = batch.heads.get(conversation_id, NO_HEAD), batch.last.get(conversation_id)
    return HeadMove(conversation_id, head, digest(last) if last is not None else None, is_still=head == begun)


def _differs(message: Message, first: Message) -> bool:
    changed = first.edited_at is not None or first.deleted_at is not None
    sent, stored = ((m.content, m.attachments, m.extra) for m in (message, first))
    return not changed and sent != stored
