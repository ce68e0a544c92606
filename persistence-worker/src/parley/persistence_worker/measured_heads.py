"""Heads of a batch that lie behind the stored messages, because a worker has crashed before moving them."""

from parley.persistence_worker.batch import Batch
from parley.persistence_worker.ports import Head, Heads


class MeasuredHeads:
    """Measures the heads of a batch by the stored messages where needed."""

    def __init__(self, heads: Heads) -> None:
        self._heads = heads

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
        batch.heads[conversation_id] = measured
        if last is not None and last.seq >= known.seq:
            batch.offer_last(last)

    async def _known(self, conversation_id: str, batch: Batch) -> Head:
        # Another writer may have moved the head. Messages that it has changed twice no longer show where its
        # epochs began, so the measurement goes on from the head as it is stored now.
        known = batch.heads[conversation_id]
        stored = (await self._heads.read([conversation_id])).get(conversation_id, known)
        return stored if stored.rev > known.rev else known
