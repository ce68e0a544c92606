"""Messages whose attachments last as long as a message names them."""

from collections.abc import Sequence

from parley.persistence_worker.ports import AttachmentReferences, Messages
from parley.shared.model import Message


class AttachedMessages:
    """`Messages`, with account kept of what names an upload.

    The account is written first: who crashes in between is asked for the same again, and finds what
    to write it from.
    """

    def __init__(self, messages: Messages, uses: AttachmentReferences) -> None:
        self._messages = messages
        self._uses = uses
        self.find = messages.find
        self.count_own = messages.count_own

    async def insert(self, messages: Sequence[Message]) -> int:
        attached = [m for m in messages if m.attachments]
        if attached:
            await self._uses.begin(attached)
        return await self._messages.insert(messages)

    async def replace(self, message: Message, rev: int) -> bool:
        if message.deleted_at is not None:
            was = (await self._messages.find([message.id])).get(message.id)
            if was is not None and was.attachments:
                await self._uses.end(was)
        return await self._messages.replace(message, rev)
