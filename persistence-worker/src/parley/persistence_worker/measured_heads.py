"""Heads of a batch that are not where the stored messages are: a worker has crashed, or was overtaken."""

from msgspec.structs import replace

from parley.persistence_worker.batch import Batch
from parley.persistence_worker.ports import Head, Heads, Messages


class MeasuredHeads:
    """Measures the heads of a batch by the stored messages where needed."""

    def __init__(self, heads: Heads, messages: Messages) -> None:
        self._heads = heads
        self._messages = messages

    async def check(self, conversation_id: str, seq: int, rev: int, batch: Batch) -> None:
        """Measure a head that a stored message is ahead of."""
        head = batch.heads.get(conversation_id)
        if head is not None and (seq > head.seq or rev > head.rev):
            await self.measure(conversation_id, batch)

    async def measure(self, conversation_id: str, batch: Batch) -> None:
        """Measure a head: another writer has moved it, or has died before it did."""
        known = await self._known(conversation_id, batch)
        measured, last = await self._heads.measure(conversation_id, known)
        if measured.epochs != known.epochs:
            await self._heads.note_epochs(conversation_id, known, measured)
        if measured.seq > known.seq:
            senders = await self._messages.senders(conversation_id, known.seq, measured.seq)
            batch.uncounted |= {(conversation_id, sender) for sender in senders}
        batch.heads[conversation_id] = measured
        if last is not None and last.seq >= known.seq:
            batch.offer_last(last)
        await self._number_overtaken(conversation_id, known, batch)

    async def _known(self, conversation_id: str, batch: Batch) -> Head:
        # Another writer may have moved the head. Messages that it has changed twice no longer show where its
        # epochs began, so the measurement goes on from the head as it is stored now.
        known = batch.heads[conversation_id]
        stored = (await self._heads.read([conversation_id])).get(conversation_id, known)
        return stored if stored.rev > known.rev else known

    async def _number_overtaken(self, conversation_id: str, known: Head, batch: Batch) -> None:
        """Give messages whose revision lies below the head the next ones: nobody would be sent them."""
        for message in await self._heads.overtaken(conversation_id, known):
            head = batch.heads[conversation_id]
            numbered = replace(message, rev=head.rev + 1, epoch=batch.epoch)
            # If another writer is faster, the message has its place, or the next measurement finds it again.
            if await self._messages.replace([(numbered, message.rev)]):
                batch.heads[conversation_id] = head.at(head.seq, numbered.rev, numbered.epoch)
                batch.renumbered[message.id] = numbered
