"""The batch algorithm: store messages, count, advance heads, publish events.

It needs no transaction, because of three facts: a message's id is unique, its number within the
conversation is unique, and every counter carries the number up to which it has counted. So every
step can be repeated after a crash at any point, by this worker or by another.
"""

from collections.abc import Sequence

from parley.persistence_worker.batch import Batch, number
from parley.persistence_worker.changes import change, decisive
from parley.persistence_worker.counting import Counting
from parley.persistence_worker.epochs import Epochs
from parley.persistence_worker.ports import EventPublisher, Head, HeadMove, Heads, Memberships, Messages, Term
from parley.shared import rooms
from parley.shared.events import Event, MessageDeleted, MessageEdited, MessageRepeated, MessageStored
from parley.shared.model import Message, Person
from parley.shared.records import Change, DeliveredMark, Edit, NewMessage, ReadMark, Record

ATTEMPTS = 10
NO_HEAD = Head(0, 0)


class Persister:
    """Persists batches of one or more partitions; of each partition one batch at a time."""

    def __init__(
        self, messages: Messages, heads: Heads, memberships: Memberships, event_publisher: EventPublisher
    ) -> None:
        self._messages = messages
        self._heads = heads
        self._memberships = memberships
        self._event_publisher = event_publisher
        self._epochs = Epochs()

    async def persist(self, records: Sequence[Record], *, redelivered: bool = False) -> None:
        """Store, count and publish records of one partition, in their order.

        Args:
            records: The records.
            redelivered: Some of the records may have been stored before.

        Raises:
            StoreUnavailable: The database is away; call again with the same records.
        """
        term = await self._heads.term()
        batch = await self._open(records, redelivered, term)
        keys = {(record.conversation_id, record.user_id) for record in records}
        counting = Counting(self._messages, self._memberships, await self._memberships.read(list(keys)))
        await self._store([r for r in records if isinstance(r, NewMessage)], batch, counting)
        await self._change([r for r in records if isinstance(r, Change)], batch, counting)
        marks = [r for r in records if isinstance(r, ReadMark | DeliveredMark)]
        for event in await counting.settle(marks, batch.heads, repeat=redelivered):
            batch.emit(rooms.conversation(event.conversation_id), event)
        # Write counters before heads, so that a reader of both never sees counters older than the head.
        await self._heads.commit(_moves(records, batch), term)
        self._epochs.end(batch.heads)
        await self._event_publisher.publish_events(batch.events)

    async def _open(self, records: Sequence[Record], redelivered: bool, term: Term) -> Batch:
        heads = await self._heads.read(list({record.conversation_id for record in records}))
        sends = [r.message for r in records if isinstance(r, NewMessage)]
        asked = [m.id for m in sends if redelivered or m.client_message_id]
        found = await self._messages.find(asked) if asked else {}
        epoch = self._epochs.begin(term, heads)
        batch = Batch(redelivered=redelivered, heads=heads, found=found, epoch=epoch)
        for message in found.values():
            await self._check_head(message.conversation_id, message.seq, message.rev, batch)
        return batch

    async def _check_head(self, conversation_id: str, seq: int, rev: int, batch: Batch) -> None:
        """Measure a head that a stored message is ahead of: a worker has crashed before moving it."""
        head = batch.heads.get(conversation_id)
        if head is not None and (seq > head.seq or rev > head.rev):
            await self._measure(conversation_id, batch)

    async def _measure(self, conversation_id: str, batch: Batch) -> None:
        known = batch.heads[conversation_id]
        measured, last = await self._heads.measure(conversation_id, known)
        if measured.epochs != known.epochs:
            await self._heads.note_epochs(conversation_id, known, measured)
        batch.heads[conversation_id] = measured
        if last is not None and last.seq >= known.seq:
            batch.offer_last(last)

    async def _store(self, records: list[NewMessage], batch: Batch, counting: Counting) -> None:
        waiting: dict[str, NewMessage] = {}
        repeated: list[NewMessage] = []
        for record in records:
            if record.message.id in batch.found or record.message.id in waiting:
                repeated.append(record)
            elif not self._may_write(record, batch, counting):
                batch.refuse(record, "NOT_FOUND", "There is no such conversation.")
            else:
                waiting[record.message.id] = record
        stored = await self._insert(waiting, batch)
        for message in stored:
            self._add_stored(message, waiting[message.id], batch, counting)
        repeated += [r for r in waiting.values() if r.message.id in batch.found]
        everything = batch.found | {message.id: message for message in stored}
        for record in repeated:
            self._repeat(record, everything[record.message.id], batch, counting)

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
        """Insert with the next numbers; if another writer has taken them, read the heads and renumber."""
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
        for conversation_id in {r.conversation_id for r in rest}:
            await self._measure(conversation_id, batch)
        batch.found |= await self._messages.find([r.message.id for r in rest])
        return [r for r in rest if r.message.id not in batch.found]

    async def _change(self, records: list[Change], batch: Batch, counting: Counting) -> None:
        of: dict[str, list[Change]] = {}
        for record in records:
            of.setdefault(record.message_id, []).append(record)
        for message_id, changes in of.items():
            await self._change_one(message_id, changes, batch, counting)

    async def _change_one(
        self, message_id: str, changes: list[Change], batch: Batch, counting: Counting
    ) -> None:
        for _ in range(ATTEMPTS):
            message = (await self._messages.find([message_id])).get(message_id)
            changes = self._permitted(changes, message, batch, counting)
            if message is None or not changes:
                return
            record = decisive(changes)
            await self._check_head(message.conversation_id, message.seq, message.rev, batch)
            rev = batch.heads[record.conversation_id].rev + 1
            changed = change(message, changes, rev=rev, epoch=batch.epoch)
            if changed is message or await self._messages.replace(changed, message.rev):
                self._publish_change(record, message, changed, batch)
                return
            await self._measure(record.conversation_id, batch)
        raise RuntimeError(f"message {message_id} was changed concurrently {ATTEMPTS} times")

    def _permitted(
        self, changes: list[Change], message: Message | None, batch: Batch, counting: Counting
    ) -> list[Change]:
        """Return the changes that are permitted, or were applied before; refuse the others."""
        permitted = [r for r in changes if message is not None and counting.may_change(r, message)]
        for record in changes:
            if record not in permitted:
                batch.refuse(record, "NOT_FOUND", "There is no such message.")
        return permitted

    def _publish_change(self, record: Change, message: Message, changed: Message, batch: Batch) -> None:
        if changed is not message:
            head = batch.heads[record.conversation_id]
            batch.heads[record.conversation_id] = head.at(head.seq, changed.rev, changed.epoch)
            if changed.seq == head.seq:
                batch.offer_last(changed)
        elif not batch.redelivered:
            return
        batch.emit(rooms.conversation(record.conversation_id), _changed(changed, record))


def _moves(records: Sequence[Record], batch: Batch) -> list[HeadMove]:
    """Return the heads of all conversations that the batch names, also of those that do not move."""
    named = dict.fromkeys(record.conversation_id for record in records)
    return [HeadMove(c, batch.heads.get(c, NO_HEAD), batch.last.get(c)) for c in named]


def _differs(message: Message, first: Message) -> bool:
    changed = first.edited_at is not None or first.deleted_at is not None
    sent, stored = ((m.content, m.attachments, m.extra) for m in (message, first))
    return not changed and sent != stored


def _changed(message: Message, record: Change) -> Event:
    # The message of a redelivered edit may have been deleted since.
    if isinstance(record, Edit) and message.deleted_at is None:
        return MessageEdited(message=message, sender=record.user)
    return MessageDeleted(message=message, sender=Person(id=message.sender_id))
