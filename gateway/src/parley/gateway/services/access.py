"""Access control: memberships from this node's cache, or else from the database."""

from dataclasses import dataclass

from parley.gateway.core.errors import NotFound
from parley.gateway.core.ports import Conversations, Memberships, Messages
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared.model import Conversation, Message, Role

NO_CONVERSATION = "There is no such conversation."
NO_MESSAGE = "There is no such message."


@dataclass(frozen=True, slots=True)
class Standing:
    """A user's rights in a conversation: the messages up to the number `hidden` cannot be read."""

    role: Role
    hidden: int


class Access:
    """Looks up the data that a user may see. Other users' data is reported as missing."""

    def __init__(
        self, membership_cache: MembershipCache, memberships: Memberships, messages: Messages
    ) -> None:
        self._membership_cache = membership_cache
        self._memberships = memberships
        self._messages = messages

    async def role(self, user_id: str, conversation_id: str) -> Role:
        """Return the user's role in a conversation.

        Raises:
            NotFound: The conversation does not exist, or the user is no member.
        """
        cached = self.cached_role(user_id, conversation_id)
        return cached if cached is not None else await self.stored_role(user_id, conversation_id)

    def cached_role(self, user_id: str, conversation_id: str) -> Role | None:
        """Return the user's role in a conversation, if this node has it in memory."""
        return self._membership_cache.role(conversation_id, user_id)

    async def standing(self, user_id: str, conversation_id: str) -> Standing:
        """Return what a user may do and read in a conversation. Raises `NotFound`."""
        cached = self._membership_cache.role(conversation_id, user_id)
        if cached is not None and not self._membership_cache.hidden(conversation_id, user_id):
            return Standing(cached, 0)
        # No event reports that hidden messages were revealed, so the database is asked.
        membership = await self._memberships.get(conversation_id, user_id)
        if membership is None:
            raise NotFound(NO_CONVERSATION)
        return Standing(membership.role, membership.hidden_seq)

    async def stored_role(self, user_id: str, conversation_id: str) -> Role:
        """Return the role from the database, for writes that no worker checks again. Raises `NotFound`."""
        membership = await self._memberships.get(conversation_id, user_id)
        if membership is None:
            raise NotFound(NO_CONVERSATION)
        return membership.role

    async def read_seq(self, user_id: str, conversation_id: str) -> int:
        """Return a member's read mark as far as this node knows it; the stored one may be higher."""
        cached = self._membership_cache.read_seq(conversation_id, user_id)
        if cached is None:
            membership = await self._memberships.get(conversation_id, user_id)
            cached = membership.read_seq if membership else 0
        return cached

    async def message(
        self, user_id: str, message_id: str, conversation_id: str | None
    ) -> tuple[Message, Role]:
        """Return a message of a conversation that the user is a member of, and the user's role there.

        Raises:
            NotFound: There is no such message, or not in `conversation_id`, or not for this user.
        """
        message = await self._messages.get(message_id)
        if message is None or conversation_id not in (None, message.conversation_id):
            raise NotFound(NO_MESSAGE)
        try:
            standing = await self.standing(user_id, message.conversation_id)
        except NotFound:
            raise NotFound(NO_MESSAGE) from None
        if message.seq <= standing.hidden:
            raise NotFound(NO_MESSAGE)
        return message, standing.role


async def existing_conversation(conversations: Conversations, conversation_id: str) -> Conversation:
    """Return a stored conversation. Raises `NotFound`."""
    conversation = (await conversations.get([conversation_id])).get(conversation_id)
    if conversation is None:
        raise NotFound(NO_CONVERSATION)
    return conversation
