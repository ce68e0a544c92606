"""Messages with references to their attachments, which are kept while a message refers to them."""

from collections.abc import Sequence

from parley.persistence_worker.ports import AttachmentReferences, Messages
from parley.shared.model import Message


class AttachedMessages:
    """`Messages` that also adds and removes the references to attachments.

    References are written before the message. After a crash between the two, the redelivered record writes
    both again.
    """

    def __init__(self, messages: Messages, references: AttachmentReferences) -> None:
        self._messages = messages
        self._references = references
        self.find = messages.find
        self.count_own = messages.count_own
        self.past_changes = messages.past_changes
        self.note_changes = messages.note_changes
        self.senders = messages.senders

    async def insert(self, messages: Sequence[Message]) -> int:
        attached = [m for m in messages if m.attachments]
        if attached:
            await self._references.add(attached)
        return await self._messages.insert(messages)

    async def replace(self, changes: Sequence[tuple[Message, int]]) -> int:
        deleted = [message.id for message, _ in changes if message.deleted_at is not None]
        if deleted:
            were = await self._messages.find(deleted)
            attached = [message for message in were.values() if message.attachments]
            if attached:
                await self._references.remove(attached)
        return await self._messages.replace(changes)
