"""The contact index: the members of the conversations of local users, and the users who share one."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from sys import intern
from time import monotonic

from parley.gateway.state.small_sets import SmallSet, with_value, without_value

KEPT_SECONDS = 60.0
"""Members that were read longer ago are read again when somebody connects: an event can be lost."""


class ContactIndex:
    """Members by conversation, and conversations by member, of the conversations that announce presence.

    A conversation with more than `most` members does not: a thousand users who connect would be a million
    announcements. Only that it is so large is kept of it.
    """

    def __init__(self, most: int, clock: Callable[[], float] = monotonic) -> None:
        self.most = most
        self._clock = clock
        self._read_at: dict[str, float] = {}
        # A set of ten takes 728 bytes, a tuple 136; they change seldom.
        self._members: dict[str, tuple[str, ...]] = {}
        self._conversations: dict[str, SmallSet[str]] = {}
        self._readings: list[set[str]] = []

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._conversations

    def missing(self, conversation_ids: Iterable[str]) -> list[str]:
        """Return the conversations whose members are to be read."""
        oldest, read_at = self._clock() - KEPT_SECONDS, self._read_at
        return [each for each in conversation_ids if read_at.get(each, oldest) <= oldest]

    @contextmanager
    def reading(self) -> Iterator[Set[str]]:
        """Collect the conversations that change while members are read: the read may predate the change."""
        changed: set[str] = set()
        self._readings.append(changed)
        try:
            yield changed
        finally:
            self._readings = [each for each in self._readings if each is not changed]

    def put(
        self, conversation_ids: Iterable[str], pairs: Sequence[tuple[str, str]], *, is_cut: bool
    ) -> list[str]:
        """Take the members of conversations as they were read.

        Args:
            conversation_ids: The conversations that were asked for.
            pairs: Conversation and member, in the order of the conversations' ids.
            is_cut: Whether there are more pairs, of the last conversation or those behind it.

        Returns:
            The conversations that have turned out too large to announce presence.
        """
        found: dict[str, set[str]] = {}
        for conversation_id, user_id in pairs:
            found.setdefault(conversation_id, set()).add(user_id)
        last = pairs[-1][0] if is_cut else None
        large = []
        for each in conversation_ids:
            members = found.get(each, set())
            if len(members) > self.most:
                large.append(each)
                self._set(each, set())
            elif last is None or each < last:
                self._set(each, members)
        return large

    def add(self, conversation_id: str, user_ids: Iterable[str]) -> None:
        """Add members to a conversation whose members are known."""
        self._note_change(conversation_id)
        members = self._members.get(conversation_id)
        if members is None:
            return
        grown = {*members, *user_ids}
        read_at = self._read_at[conversation_id]
        self._set(conversation_id, grown if len(grown) <= self.most else set())
        self._read_at[conversation_id] = read_at

    def discard(self, conversation_id: str, user_id: str) -> None:
        """Remove a member; a large conversation is read again, for it may be small enough now."""
        self._note_change(conversation_id)
        members = self._members.get(conversation_id)
        if members is None:
            self._read_at.pop(conversation_id, None)
        elif user_id in members:
            self._members[conversation_id] = tuple(each for each in members if each != user_id)
            self._unlink(conversation_id, user_id)

    def drop(self, conversation_id: str) -> None:
        """Forget a conversation that has no member on this node any more."""
        self._note_change(conversation_id)
        self._read_at.pop(conversation_id, None)
        for user_id in self._members.pop(conversation_id, ()):
            self._unlink(conversation_id, user_id)

    def expire(self) -> None:
        """Have all members read again when somebody connects: events were lost."""
        self._read_at = dict.fromkeys(self._read_at, self._clock() - KEPT_SECONDS)

    def members(self, conversation_id: str) -> Collection[str]:
        """Return the members of a conversation; none if it does not announce presence, or is unknown."""
        return self._members.get(conversation_id, ())

    def announces(self, conversation_id: str) -> bool:
        """Return whether the presence of a conversation's members is announced to each other."""
        return conversation_id in self._members

    def conversations_of(self, user_id: str) -> Collection[str]:
        """Return the conversations with members on this node that announce a user's presence."""
        return self._conversations.get(user_id, ())

    def contacts(self, user_id: str, conversation_ids: Iterable[str]) -> set[str]:
        """Return the other members of a user's conversations."""
        found: set[str] = set()
        for each in conversation_ids:
            found.update(self._members.get(each, ()))
        found.discard(user_id)
        return found

    def _set(self, conversation_id: str, user_ids: Iterable[str]) -> None:
        # Each read brings the ids of the same users as new strings.
        members = set(map(intern, user_ids))
        before = set(self._members.pop(conversation_id, ()))
        for user_id in before - members:
            self._unlink(conversation_id, user_id)
        for user_id in members - before:
            known = self._conversations.get(user_id, ())
            self._conversations[user_id] = with_value(known, conversation_id)
        if members:
            self._members[conversation_id] = tuple(members)
        self._read_at[conversation_id] = self._clock()

    def _unlink(self, conversation_id: str, user_id: str) -> None:
        conversations = without_value(self._conversations[user_id], conversation_id)
        if conversations:
            self._conversations[user_id] = conversations
        else:
            del self._conversations[user_id]

    def _note_change(self, conversation_id: str) -> None:
        for changed in self._readings:
            changed.add(conversation_id)
