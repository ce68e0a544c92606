"""Reads who the members of the local conversations are, for the contact index."""

from collections.abc import Collection, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass

from parley.gateway.core.ports import Memberships
from parley.gateway.services.presence import MAX_CONTACTS
from parley.gateway.state.contact_index import ContactIndex
from parley.gateway.state.membership_cache import MembershipCache

READS = 5
"""Reads of members for one connect: each may bring nothing but a part of a large conversation."""


@dataclass(frozen=True, slots=True)
class MemberReading:
    """A read of members that is under way.

    Attributes:
        wanted: The conversations whose members are to be read.
        limit: Pairs of conversation and member to read, at most.
        changed: The conversations that have changed since it began.
    """

    wanted: Sequence[str]
    limit: int
    changed: Set[str]


class ContactReads:
    """Fills the contact index; reads that overlap with changes are repeated."""

    def __init__(
        self, memberships: Memberships, membership_cache: MembershipCache, contacts: ContactIndex
    ) -> None:
        self._memberships = memberships
        self._membership_cache = membership_cache
        self._contacts = contacts

    async def load(self, conversation_ids: Collection[str]) -> None:
        """Read the members of conversations that are not known. Raises `Unavailable`."""
        for _ in range(READS):
            with self.reading(conversation_ids) as reading:
                if not reading.wanted:
                    return
                pairs = await self._memberships.pairs(reading.wanted, reading.limit)
                if self.put(reading, pairs):
                    return

    @contextmanager
    def reading(self, conversation_ids: Collection[str]) -> Iterator[MemberReading]:
        """Note the changes that happen while the members of conversations are read."""
        # A user with thousands of conversations learns of the first contacts only.
        enough = self._contacts.most + 1
        limit = enough if len(conversation_ids) == 1 else max(MAX_CONTACTS, enough)
        with self._contacts.reading() as changed:
            yield MemberReading(self._contacts.missing(conversation_ids), limit, changed)

    def put(self, reading: MemberReading, pairs: Sequence[tuple[str, str]]) -> bool:
        """Take members as they were read. Returns False if it is worth it to read more."""
        local, is_cut = self._membership_cache.conversations, len(pairs) == reading.limit
        unchanged = [c for c in reading.wanted if c in local and c not in reading.changed]
        large = self._contacts.put(unchanged, pairs, is_cut=is_cut)
        return not reading.changed and not (large and is_cut)
