"""Unread counts of one user, by what is stored."""

from collections.abc import Mapping, Sequence

from parley.gateway.core.ports import Messages
from parley.gateway.core.positions import Tombstone
from parley.shared.model import Membership


class UnreadCounter:
    """Counts the messages above the read mark that others have sent, and that are there to read."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    async def count(self, memberships: Sequence[Membership], heads: Mapping[str, int]) -> dict[str, int]:
        """Return the unread counts of a user by conversation.

        Args:
            memberships: The user's memberships.
            heads: The number of the last message of each of their conversations, read before `memberships`.
        """
        # A worker writes the counters of a batch before its heads, so a user's own message may be newer.
        last = {m.conversation_id: max(heads[m.conversation_id], m.own_seq) for m in memberships}
        above = {m.conversation_id: m.base for m in memberships if m.unread(last[m.conversation_id], 0)}
        deleted = await self._messages.deleted(above) if above else {}
        return {m.conversation_id: _unread(m, last[m.conversation_id], deleted) for m in memberships}


def _unread(m: Membership, last_seq: int, deleted: Mapping[str, Sequence[Tombstone]]) -> int:
    # A message may have been stored and deleted since the head was read.
    of_others = [t for t in deleted.get(m.conversation_id, ()) if t.sender_id != m.user_id]
    return m.unread(last_seq, sum(m.base < t.seq <= last_seq for t in of_others))
