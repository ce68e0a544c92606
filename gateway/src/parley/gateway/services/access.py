"""Who may do what: from the roster where it knows, else from the archive."""

from parley.gateway.core.errors import NotFound
from parley.gateway.core.ports import Memberships, Messages
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared.model import Message, Role

NO_CONVERSATION = "There is no such conversation."
NO_MESSAGE = "There is no such message."


class Access:
    """Looks memberships up; what is not one's own looks like what does not exist."""

    def __init__(
        self, membership_cache: MembershipCache, memberships: Memberships, messages: Messages
    ) -> None:
        self._membership_cache = membership_cache
        self._memberships = memberships
        self._messages = messages

    async def role(self, user_id: str, conversation_id: str) -> Role:
        """The user's role in a conversation.

        Raises:
            NotFound: it does not exist, or the user is not in it.
        """
        known = self._membership_cache.role(conversation_id, user_id)
        return known if known is not None else await self.stored_role(user_id, conversation_id)

    async def stored_role(self, user_id: str, conversation_id: str) -> Role:
        """The same, whatever this node has heard: for what no worker checks again. Raises `NotFound`."""
        membership = await self._memberships.get(conversation_id, user_id)
        if membership is None:
            raise NotFound(NO_CONVERSATION)
        return membership.role

    async def read_seq(self, user_id: str, conversation_id: str) -> int:
        """Up to where a member has read, as far as is known: it may be further."""
        known = self._membership_cache.read_seq(conversation_id, user_id)
        if known is None:
            membership = await self._memberships.get(conversation_id, user_id)
            known = membership.read_seq if membership else 0
        return known

    async def message(
        self, user_id: str, message_id: str, conversation_id: str | None
    ) -> tuple[Message, Role]:
        """A message of a conversation that the user is in, and their role there.

        Raises:
            NotFound: there is none, or not in this conversation, or not for this user.
        """
        message = await self._messages.get(message_id)
        if message is None or conversation_id not in (None, message.conversation_id):
            raise NotFound(NO_MESSAGE)
        try:
            return message, await self.role(user_id, message.conversation_id)
        except NotFound:
            raise NotFound(NO_MESSAGE) from None
