"""Known state: heads and memberships as earlier batches of this worker have left them."""

from collections.abc import Mapping, Sequence

from parley.persistence_worker.ports import Head, MemberKey, Snapshot, Term
from parley.shared.model import Membership
from parley.shared.records import NewMessage, Record

MOST_MEMBERS = 20_000
"""Memberships that are known, at about the most, and conversations likewise."""
MOST_RECORDS = 15
"""Records of a batch that is stored as a whole: as many as a transaction may hold."""


class KnownState:
    """The values that the worker has stored last. Others may have written since, so a write compares."""

    def __init__(self) -> None:
        self._term: Term = None
        self._heads: dict[str, Head] = {}
        self._members: dict[MemberKey, Membership] = {}

    def take(self, records: Sequence[Record]) -> Snapshot | None:
        """Return what is known of a batch of new messages without attachments, None if that is not all.

        The heads are known no longer, until they are put again: the batch may fail.
        """
        if len(records) > MOST_RECORDS:
            return None
        heads: dict[str, Head] = {}
        members: dict[MemberKey, Membership] = {}
        for record in records:
            key = (record.conversation_id, record.user_id)
            head, member = self._heads.get(key[0]), self._members.get(key)
            is_plain = isinstance(record, NewMessage) and not record.message.attachments
            if not is_plain or head is None or member is None:
                return None
            heads[key[0]], members[key] = head, member
        for each in heads:
            del self._heads[each]
        return Snapshot(self._term, heads, {}, members)

    def put(self, term: Term, heads: Mapping[str, Head], members: Mapping[MemberKey, Membership]) -> None:
        """Note what a batch has stored."""
        if term != self._term or max(len(self._heads), len(self._members)) > MOST_MEMBERS:
            self._heads.clear()
            self._members.clear()
        self._term = term
        self._heads.update(heads)
        self._members.update(members)
