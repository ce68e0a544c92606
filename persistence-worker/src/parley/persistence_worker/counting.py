"""The marks and counters of a batch's members: read, counted, and saved by compare-and-set."""

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from parley.persistence_worker.ports import Head, MemberKey, Memberships, Messages
from parley.shared.events import ConversationDelivered, ConversationRead
from parley.shared.model import Membership, Message
from parley.shared.records import Change, Deletion, Mark, ReadMark

MarkEvent = ConversationRead | ConversationDelivered


class Counting:
    """Counts one batch, from the memberships as they were read (`was`) to the new ones (`becomes`)."""

    def __init__(
        self, messages: Messages, memberships: Memberships, read: Mapping[MemberKey, Membership]
    ) -> None:
        self._messages = messages
        self._memberships = memberships
        self._was = dict(read)
        self._becomes = dict(read)
        self._to_recount: set[MemberKey] = set()

    def is_member(self, conversation_id: str, user_id: str) -> bool:
        """Return whether the user is a member now."""
        membership = self._was.get((conversation_id, user_id))
        return membership is not None and membership.left_at is None

    def may_change(self, record: Change, message: Message) -> bool:
        """Return whether a change is permitted: to members for their own messages, to admins any deletion."""
        member = self._was.get((record.conversation_id, record.user_id))
        if member is None or member.left_at is not None:
            return False
        own = record.user_id == message.sender_id
        return own or (isinstance(record, Deletion) and member.role != "member")

    def count_own(self, message: Message) -> None:
        """Count a message that was just stored as its sender's own."""
        key = (message.conversation_id, message.sender_id)
        m = self._becomes[key]
        above = 1 if message.seq > m.base else 0
        self._becomes[key] = replace(m, own_seq=message.seq, own_since_read=m.own_since_read + above)

    def recount_if_behind(self, message: Message) -> None:
        """Have the sender's counters recounted if they lack a message that was stored before."""
        key = (message.conversation_id, message.sender_id)
        if key in self._was and message.seq > self._was[key].own_seq:
            self._to_recount.add(key)

    async def recount_senders(self, keys: Collection[MemberKey]) -> None:
        """Have members recounted whose messages another worker has stored.

        That worker may have ended before it counted them, and its records need not come again: a database
        that was restored to that moment has the messages, and the broker has not.
        """
        read = await self._memberships.read([k for k in keys if k not in self._was]) if keys else {}
        self._was |= read
        self._becomes |= read
        self._to_recount |= {key for key in keys if key in self._was}

    async def settle(
        self, marks: Sequence[Mark], heads: Mapping[str, Head], *, repeat: bool
    ) -> list[MarkEvent]:
        """Apply the marks and save all changes.

        Args:
            marks: Read and delivered marks, in order.
            heads: The heads of the conversations.
            repeat: Return events also for marks that change nothing, because a worker may have crashed
                between saving a mark and publishing its event.

        Returns:
            The events to publish.
        """
        moved = [m for m in marks if await self._apply(m, heads) or (repeat and self._has_reached(m))]
        for key in self._to_recount:
            self._becomes[key] = await self._recount(self._becomes[key], heads)
        await self._save(heads)
        return [self._event(mark) for mark in moved]

    def _has_reached(self, mark: Mark) -> bool:
        return self.is_member(mark.conversation_id, mark.user_id) and mark.seq <= self._mark_of(mark)

    def _mark_of(self, mark: Mark) -> int:
        m = self._becomes[mark.conversation_id, mark.user_id]
        return m.read_seq if isinstance(mark, ReadMark) else m.delivered_seq

    async def _apply(self, mark: Mark, heads: Mapping[str, Head]) -> bool:
        """Advance a mark; return False if it was there or further already."""
        key = (mark.conversation_id, mark.user_id)
        if not self.is_member(*key) or key[0] not in heads:
            return False
        m, seq = self._becomes[key], min(mark.seq, heads[key[0]].seq)
        if seq <= self._mark_of(mark):
            return False
        if isinstance(mark, ReadMark):
            m = replace(m, read_seq=seq, delivered_seq=max(seq, m.delivered_seq))
            self._becomes[key] = await self._count_above(m, heads)
        else:
            self._becomes[key] = replace(m, delivered_seq=seq)
        return True

    async def _count_above(self, m: Membership, heads: Mapping[str, Head]) -> Membership:
        """Count the user's own messages above a read mark that has just moved."""
        # All that read a message say so: only who has said something above the mark is worth a question.
        if not m.own_since_read or m.own_seq <= m.base:
            return replace(m, own_since_read=0)
        return await self._recount(m, heads)

    async def _recount(self, m: Membership, heads: Mapping[str, Head]) -> Membership:
        """Count the user's own messages above the read mark in the database."""
        # A worker that was overtaken may know an older head than the counter that it corrects.
        upto = max(heads[m.conversation_id].seq, m.own_seq)
        own = 0
        if m.base < upto:
            own = await self._messages.count_own((m.conversation_id, m.user_id), m.base, upto)
        return replace(m, own_since_read=own, own_seq=upto)

    async def _save(self, heads: Mapping[str, Head]) -> None:
        changes = self.changes()
        while changes:
            overtaken = await self._memberships.save(changes)
            changes = await self._merge(overtaken, heads) if overtaken else []

    def members(self) -> Mapping[MemberKey, Membership]:
        """Return the memberships as they are after the batch."""
        return self._becomes

    def changes(self) -> list[tuple[Membership, Membership]]:
        """Return pairs of the memberships that have changed, as they were and as they are now."""
        return [(was, self._becomes[key]) for key, was in self._was.items() if self._becomes[key] != was]

    async def _merge(
        self, overtaken: Sequence[MemberKey], heads: Mapping[str, Head]
    ) -> list[tuple[Membership, Membership]]:
        """Merge with the counters of a concurrent writer: keep the further marks, and recount."""
        read = await self._memberships.read(overtaken)
        for key, fresh in read.items():
            ours = self._becomes[key]
            merged = replace(
                fresh,
                read_seq=max(fresh.read_seq, ours.read_seq),
                delivered_seq=max(fresh.delivered_seq, ours.delivered_seq),
            )
            self._was[key] = fresh
            self._becomes[key] = await self._recount(merged, heads)
        return [(self._was[k], self._becomes[k]) for k in read if self._becomes[k] != self._was[k]]

    def _event(self, mark: Mark) -> MarkEvent:
        m = self._becomes[mark.conversation_id, mark.user_id]
        if not isinstance(mark, ReadMark):
            return ConversationDelivered(
                record_id=mark.id,
                conversation_id=mark.conversation_id,
                user_id=mark.user_id,
                seq=m.delivered_seq,
                at=mark.at,
            )
        return ConversationRead(
            record_id=mark.id,
            conversation_id=mark.conversation_id,
            user_id=mark.user_id,
            seq=m.read_seq,
            message_id=mark.message_id,
            last_id=mark.last_id,
            own_since_read=m.own_since_read,
            own_seq=m.own_seq,
            at=mark.at,
        )
