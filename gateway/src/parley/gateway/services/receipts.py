"""Receipts: how far a user has read and received a conversation."""

from parley.gateway.core.commands import MarkConversationRead, MarkDelivered, MarkRead
from parley.gateway.core.errors import Invalid, NotFound
from parley.gateway.core.ports import Conversations, Messages, Outbox
from parley.gateway.core.results import Done, PendingCommit
from parley.gateway.services.access import NO_MESSAGE, Access, existing_conversation
from parley.gateway.state.bounded_dict import BoundedDict
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared.model import Person, new_id, now
from parley.shared.records import DeliveredMark, ReadMark

REMEMBERED_MESSAGES = 20_000

RecentMessages = BoundedDict[str, tuple[str, int]]
"""Conversation and number of the messages that were delivered last, by their ids."""


class ReceiptService:
    """Turns marks into records. A mark at a recently delivered message needs no database access."""

    def __init__(
        self,
        access: Access,
        outbox: Outbox,
        conversations: Conversations,
        messages: Messages,
        membership_cache: MembershipCache,
    ) -> None:
        self._access = access
        self._outbox = outbox
        self._conversations = conversations
        self._messages = messages
        self._membership_cache = membership_cache
        self.recent = RecentMessages(REMEMBERED_MESSAGES)

    async def read(self, person: Person, command: MarkRead) -> PendingCommit | Done:
        """Accept a read mark at a message.

        Raises:
            NotFound: There is no such message for this user.
        """
        conversation_id, seq = await self._locate(person, command)
        if seq <= await self._access.read_seq(person.id, conversation_id):
            return Done()
        return self._put(_read_mark(person, conversation_id, seq, command.message_id, command.message_id))

    async def _locate(self, person: Person, command: MarkRead) -> tuple[str, int]:
        """Return the conversation and the number of a message."""
        recent = self.recent.get(command.message_id)
        if recent is None:
            message, _ = await self._access.message(person.id, command.message_id, command.conversation_id)
            return message.conversation_id, message.seq
        try:
            standing = await self._access.standing(person.id, recent[0])
        except NotFound:
            raise NotFound(NO_MESSAGE) from None
        if command.conversation_id not in (None, recent[0]) or recent[1] <= standing.hidden:
            raise NotFound(NO_MESSAGE)
        return recent

    async def read_all(self, person: Person, command: MarkConversationRead) -> PendingCommit | Done:
        """Accept a read mark at the end of a conversation.

        Raises:
            NotFound: There is no such conversation for this user.
        """
        await self._access.role(person.id, command.conversation_id)
        # The user cannot have read more than this node has sent to the user's sockets.
        seq, last_id = self._membership_cache.last_message(command.conversation_id, person.id) or (
            await self._last_seq(command.conversation_id),
            None,
        )
        if seq <= await self._access.read_seq(person.id, command.conversation_id):
            return Done()
        last_id = last_id or await self._id_of(command.conversation_id, seq)
        return self._put(_read_mark(person, command.conversation_id, seq, None, last_id))

    async def _id_of(self, conversation_id: str, seq: int) -> str | None:
        found = await self._messages.page(conversation_id, 1, seq + 1, None)
        return found[0].id if found else None

    async def delivered(self, person: Person, command: MarkDelivered) -> PendingCommit:
        """Accept that a device of the user has received all messages up to a number.

        Raises:
            NotFound: There is no such conversation for this user.
            Invalid: The number is higher than that of the last message.
        """
        await self._access.role(person.id, command.conversation_id)
        cached = self._membership_cache.conversations.get(command.conversation_id)
        if cached is None or command.seq > cached.seq:
            last = await self._last_seq(command.conversation_id)
            if command.seq > last:
                raise Invalid.field("seq", f"The conversation's last message is number {last}.")
        return self._put(
            DeliveredMark(
                id=new_id(),
                conversation_id=command.conversation_id,
                user_id=person.id,
                seq=command.seq,
                at=now(),
            )
        )

    def _put(self, mark: ReadMark | DeliveredMark) -> PendingCommit:
        return PendingCommit(Done(), self._outbox.put(mark), mark.id, mark.conversation_id, mark.user_id)

    async def _last_seq(self, conversation_id: str) -> int:
        return (await existing_conversation(self._conversations, conversation_id)).last_seq


def _read_mark(
    person: Person, conversation_id: str, seq: int, message_id: str | None, last_id: str | None
) -> ReadMark:
    return ReadMark(
        id=new_id(),
        conversation_id=conversation_id,
        user_id=person.id,
        seq=seq,
        message_id=message_id,
        last_id=last_id,
        at=now(),
    )
