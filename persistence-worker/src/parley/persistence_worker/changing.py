"""The edits and deletions of a batch: planned together, and written together by compare-and-set."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from parley.persistence_worker.batch import Batch
from parley.persistence_worker.changes import Outcome, change, is_applied, is_full
from parley.persistence_worker.counting import Counting
from parley.persistence_worker.measured_heads import MeasuredHeads
from parley.persistence_worker.ports import Messages
from parley.shared import rooms
from parley.shared.events import MessageDeleted, MessageEdited
from parley.shared.model import Message, Person
from parley.shared.records import Change, Edit

ATTEMPTS = 10
Changes = dict[str, list[Change]]
"""Changes by the id of their message."""


class Changing:
    """Changes the messages of one batch."""

    def __init__(self, messages: Messages, heads: MeasuredHeads, batch: Batch, counting: Counting) -> None:
        self._messages = messages
        self._heads = heads
        self._batch = batch
        self._counting = counting

    async def apply(self, records: Sequence[Change]) -> None:
        """Apply changes, each message's under the next revision of its conversation.

        Raises:
            RuntimeError: Other writers have changed the same messages again and again.
        """
        waiting: Changes = {}
        for record in records:
            waiting.setdefault(record.message_id, []).append(record)
        for _ in range(ATTEMPTS):
            if not waiting:
                return
            waiting = await self._write(await self._plan(waiting))
        raise RuntimeError(f"messages were changed concurrently {ATTEMPTS} times: {list(waiting)[:3]}")

    async def _plan(self, waiting: Changes) -> list[Outcome]:
        """Return what the changes make of their messages, and settle those that change nothing."""
        found = await self._messages.find(list(waiting))
        # Places are read after the messages: a change is noted before its message names it no longer.
        full = [r.id for i, message in found.items() if is_full(message) for r in waiting[i]]
        past = await self._messages.past_changes(full) if full else {}
        for message in found.values():
            await self._heads.check(message.conversation_id, message.seq, message.rev, self._batch)
        permitted = ((found.get(i), self._permitted(r, found.get(i), past)) for i, r in waiting.items())
        outcomes = list(self._outcomes(((m, records) for m, records in permitted if m and records), past))
        for outcome in outcomes:
            if not outcome.is_change:
                self._settle(outcome)
        return [outcome for outcome in outcomes if outcome.is_change]

    def _outcomes(
        self, of: Iterable[tuple[Message, list[Change]]], past: Mapping[str, int]
    ) -> Iterator[Outcome]:
        heads = dict(self._batch.heads)
        for message, records in of:
            head = heads[message.conversation_id]
            outcome = change(message, records, past, rev=head.rev + 1, epoch=self._batch.epoch)
            if outcome.is_change:
                heads[message.conversation_id] = head.at(head.seq, head.rev + 1, self._batch.epoch)
            yield outcome

    def _permitted(
        self, records: Sequence[Change], message: Message | None, past: Mapping[str, int]
    ) -> list[Change]:
        """Return the changes that are permitted, or were applied before; refuse the others."""
        permitted = []
        for record in records:
            if message is not None and self._may_change(record, message, past):
                permitted.append(record)
            else:
                self._batch.refuse(record, "NOT_FOUND", "There is no such message.")
        return permitted

    def _may_change(self, record: Change, message: Message, past: Mapping[str, int]) -> bool:
        # A change that was applied before stays permitted, even if its author has lost the right since.
        return message.conversation_id == record.conversation_id and (
            is_applied(record, message, past) or self._counting.may_change(record, message)
        )

    async def _write(self, outcomes: Sequence[Outcome]) -> Changes:
        """Write changed messages; return the changes of those that another writer has changed meanwhile."""
        if not outcomes:
            return {}
        dropped = {record_id: place for each in outcomes for record_id, place in each.dropped.items()}
        if dropped:
            await self._messages.note_changes(dropped)
        written = await self._messages.replace([(each.message, each.was.rev) for each in outcomes])
        for outcome in outcomes[:written]:
            self._advance(outcome.message)
            self._settle(outcome)
        rest = outcomes[written:]
        if rest:
            await self._heads.measure(rest[0].message.conversation_id, self._batch)
        return {each.was.id: list(each.records) for each in rest}

    def _advance(self, message: Message) -> None:
        head = self._batch.heads[message.conversation_id]
        self._batch.heads[message.conversation_id] = head.at(head.seq, message.rev, message.epoch)
        if message.seq == head.seq:
            self._batch.offer_last(message)

    def _settle(self, outcome: Outcome) -> None:
        """Announce a message with its changes, also if it had them before; refuse edits of a tombstone."""
        settled = outcome.settled
        if settled:
            event = _event(outcome.message, settled)
            self._batch.emit(rooms.conversation(event.conversation_id), event)
        for record in outcome.too_late:
            self._batch.refuse(record, "CONFLICT", "The message was deleted.")


def _event(message: Message, settled: Sequence[Change]) -> MessageEdited | MessageDeleted:
    # The message of a redelivered edit may have been deleted since.
    record, ids = settled[-1], tuple(each.id for each in settled)
    if isinstance(record, Edit) and message.deleted_at is None:
        return MessageEdited(message=message, sender=record.user, record_ids=ids)
    return MessageDeleted(message=message, sender=Person(id=message.sender_id), record_ids=ids)
