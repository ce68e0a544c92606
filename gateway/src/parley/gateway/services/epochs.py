"""Epochs: tell whether a revision that somebody holds is one of the stored history.

After MongoDB was restored to an earlier point, it gives the same revisions again, to other changes. The
epochs of the revisions differ then, because each run of a worker has its own.
"""

from parley.gateway.core.ports import Conversations, Messages
from parley.gateway.core.positions import Revision
from parley.shared.model import Conversation


class Epochs:
    """Compares revisions with the stored history."""

    def __init__(self, conversations: Conversations, messages: Messages) -> None:
        self._conversations = conversations
        self._messages = messages

    async def continues(self, conversation_id: str, held: Revision, head: Conversation | None = None) -> bool:
        """Return whether the stored history goes on from a revision that a client or a gateway holds.

        A holder that does not know the epoch of its revision, or has one of version 0.1.0, which gave none,
        is only told of a revision that was never given.

        Args:
            conversation_id: The conversation.
            held: The revision, and the epoch that gave it.
            head: The stored conversation, if it has just been read.

        Raises:
            Unavailable: MongoDB is away.
        """
        if held.rev == 0:
            return True
        if head is None:
            head = (await self._conversations.get([conversation_id])).get(conversation_id)
        if head is None or head.rev < held.rev:
            head = await self._conversations.latest(conversation_id)
        if head is not None and head.rev >= held.rev:
            return not held.epoch or head.epoch_at(held.rev) == held.epoch
        return await self._is_above_head(conversation_id, held)

    async def _is_above_head(self, conversation_id: str, held: Revision) -> bool:
        """Return whether a worker has stored the revision, and died before it moved the head."""
        found = await self._messages.changes(conversation_id, held.rev - 1, 1)
        return any(m.rev == held.rev and (not held.epoch or m.epoch == held.epoch) for m in found)
