"""Unread counts: broadcast to a user's own sockets, those of a busy conversation at most once a second."""

import asyncio
from collections.abc import Collection, Iterable
from itertools import takewhile

from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.protocols.protocol import UnreadChanged
from parley.gateway.state.membership_cache import MembershipCache

BUSY_SECONDS = 1.0
"""A conversation whose counts were broadcast is busy for so long: changes of its counts wait."""
CONVERSATIONS_AT_ONCE = 250
"""Conversations whose counts are broadcast in one turn of the event loop."""


class UnreadCounts:
    """Sends users the counts that differ from the last ones sent."""

    def __init__(self, membership_cache: MembershipCache, broadcaster: Broadcaster) -> None:
        self._membership_cache = membership_cache
        self._broadcaster = broadcaster
        self._busy: dict[str, float] = {}
        """The busy conversations and the time at which each became so, the first one first."""
        self._waiting: set[str] = set()
        """The busy conversations with counts that have changed since."""

    def broadcast_of(self, conversation_id: str) -> None:
        """Broadcast the changed counts of a conversation, unless it is busy.

        After a message has been written, they are part of the same write to each socket.
        """
        if conversation_id not in self._busy:
            self._broadcast(conversation_id)

    def broadcast_changed(self) -> None:
        """Broadcast all counts that have changed."""
        self._broadcast_read()
        for conversation_id in {*self._membership_cache.take_changed(), *self._waiting}:
            self._broadcast(conversation_id)

    async def broadcast_in_turns(self) -> None:
        """Broadcast the counts that have changed; those of busy conversations only where a user has read.

        It takes turns, because a new socket needs all counts of its user.
        """
        self._broadcast_read()
        due = list(self._take_due())
        for start in range(0, len(due), CONVERSATIONS_AT_ONCE):
            for conversation_id in due[start : start + CONVERSATIONS_AT_ONCE]:
                self._broadcast(conversation_id)
            await asyncio.sleep(0)

    def _broadcast_read(self) -> None:
        for conversation_id, readers in self._membership_cache.take_read().items():
            self._write(conversation_id, readers)

    def _take_due(self) -> Iterable[str]:
        ended = self._end_busy()
        for conversation_id in self._membership_cache.take_changed():
            if conversation_id in self._busy:
                self._waiting.add(conversation_id)
            else:
                ended[conversation_id] = None
        return ended

    def _end_busy(self) -> dict[str, None]:
        """Return the conversations that are busy no more and have counts that wait."""
        since = asyncio.get_running_loop().time() - BUSY_SECONDS
        ended = list(takewhile(lambda each: self._busy[each] <= since, self._busy))
        for conversation_id in ended:
            del self._busy[conversation_id]
        return {each: None for each in ended if each in self._waiting}

    def _broadcast(self, conversation_id: str) -> None:
        self._waiting.discard(conversation_id)
        if self._write(conversation_id):
            self._busy.pop(conversation_id, None)
            self._busy[conversation_id] = asyncio.get_running_loop().time()

    def _write(self, conversation_id: str, readers: Collection[str] | None = None) -> bool:
        """Broadcast the counts that differ from those that were reported; return whether there are any."""
        changed = False
        for user_id, unread, total in self._membership_cache.changed_counts(conversation_id, readers):
            self._broadcaster.broadcast(UnreadChanged(user_id, conversation_id, unread, total))
            changed = True
        return changed
