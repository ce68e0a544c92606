"""The gateway's stored collections in memory, on the same tables as the worker's store."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta

from msgspec.structs import replace

from fakes.memory_store import Tables
from parley.gateway.core.pagination import Page, PageRequest, SortKey, page_of
from parley.gateway.core.ports import SavedProfile, UserConversations
from parley.gateway.core.positions import Tombstone, head_of
from parley.gateway.core.spans import ALL, Span
from parley.gateway.services.profiles import shown_of
from parley.shared.model import Contract, Conversation, Membership, Message, Person, Role, now


async def _at_once() -> None:
    """Continue without letting another task run."""


class MemoryConversations:
    """`Conversations`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def create(self, conversation: Conversation, members: Sequence[Membership]) -> Conversation:
        wanted = self._same_direct(conversation) or conversation
        stored = self._tables.conversations.setdefault(wanted.id, wanted)
        if stored.created_from != conversation.created_from:
            return stored
        for member in members:
            key = (stored.id, member.user_id)
            first = replace(member, conversation_id=stored.id, joined_at=stored.created_at)
            self._tables.memberships.setdefault(key, first)
        return stored

    def _same_direct(self, wanted: Conversation) -> Conversation | None:
        known = self._tables.conversations.values()
        return next((c for c in known if c.direct_key and c.direct_key == wanted.direct_key), None)

    async def get(self, conversation_ids: Collection[str]) -> dict[str, Conversation]:
        known = self._tables.conversations
        return {i: known[i] for i in conversation_ids if i in known}

    async def revisions(self, conversation_ids: Collection[str]) -> dict[str, int]:
        return {i: each.rev for i, each in (await self.get(conversation_ids)).items()}

    async def latest(self, conversation_id: str) -> Conversation | None:
        return (await self.get([conversation_id])).get(conversation_id)

    async def most_recent(
        self, conversation_ids: Collection[str], request: PageRequest, contract_id: str | None
    ) -> Page[Conversation]:
        found = await self.get(conversation_ids)
        of = [c for c in found.values() if contract_id is None or c.contract_id == contract_id]
        start, first = request.start(), request.skipped
        keys = sorted(((c.last_activity_at, c.id) for c in of), reverse=not request.ascending)
        rest = [k for k in keys if start is None or (k > start if request.ascending else k < start)]
        return page_of([found[i] for _, i in rest[first : first + request.limit + 1]], request, len(of))

    async def of_contract(self, contract_id: str) -> list[Conversation]:
        return [c for c in self._tables.conversations.values() if c.contract_id == contract_id]


class MemoryHistory:
    """`Messages`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, message_id: str) -> Message | None:
        return self._tables.messages.get(message_id)

    async def page(
        self, conversation_id: str, limit: int, before: int | None, after: int | None, hidden: int = 0
    ) -> list[Message]:
        of = [m for m in self._tables.of_conversation(conversation_id) if m.seq > hidden]
        if after is not None:
            return [m for m in of if m.seq > after][:limit]
        return [m for m in of if before is None or m.seq < before][-limit:]

    async def refer_to(self, conversation_id: str, attachment_id: str, above: int) -> bool:
        of = self._tables.of_conversation(conversation_id)
        return any(a.id == attachment_id for m in of if m.seq > above for a in m.attachments)

    async def changes(self, conversation_id: str, rev: int, limit: int) -> list[Message]:
        of = self._tables.of_conversation(conversation_id)
        return sorted((m for m in of if m.rev > rev), key=lambda m: m.rev)[:limit]

    async def deleted(self, above: Mapping[str, int]) -> dict[str, list[Tombstone]]:
        found = {
            conversation_id: [
                Tombstone(m.seq, m.sender_id)
                for m in self._tables.of_conversation(conversation_id)
                if m.seq > seq and m.deleted_at is not None
            ]
            for conversation_id, seq in above.items()
        }
        return {conversation_id: tombstones for conversation_id, tombstones in found.items() if tombstones}

    async def furthest_of(
        self, conversation_ids: Collection[str]
    ) -> dict[str, tuple[list[Membership], list[Membership]]]:
        return {conversation_id: self._furthest(conversation_id) for conversation_id in conversation_ids}

    def _furthest(self, conversation_id: str) -> tuple[list[Membership], list[Membership]]:
        of = [m for (c, _), m in self._tables.memberships.items() if c == conversation_id]
        readers = sorted(of, key=lambda m: -m.read_seq)[:2]
        return readers, sorted(of, key=lambda m: -m.delivered_seq)[:2]


class MemoryMembers:
    """`Memberships` and `MembershipChanges`; `between` is awaited between two steps that are not atomic."""

    def __init__(self, tables: Tables, between: Callable[[], Awaitable[None]] = _at_once) -> None:
        self._tables = tables
        self._between = between

    def _present(self) -> list[Membership]:
        return [m for m in self._tables.memberships.values() if m.left_at is None]

    async def get(self, conversation_id: str, user_id: str) -> Membership | None:
        membership = self._tables.memberships.get((conversation_id, user_id))
        return membership if membership and membership.left_at is None else None

    async def of_users(self, user_ids: Collection[str]) -> list[Membership]:
        return [m for m in self._present() if m.user_id in user_ids]

    async def hidden_of(self, user_id: str) -> dict[str, int]:
        return {m.conversation_id: m.hidden_seq for m in self._present() if m.user_id == user_id}

    async def of_user(self, user_id: str, conversation_ids: Collection[str]) -> dict[str, Membership]:
        of = (m for m in self._present() if m.user_id == user_id)
        return {m.conversation_id: m for m in of if m.conversation_id in conversation_ids}

    async def conversations_of(self, user_id: str, *, archived: bool = True) -> set[str]:
        of = (m for m in self._present() if m.user_id == user_id)
        return {m.conversation_id for m in of if archived or not m.archived}

    async def of_conversation(
        self, conversation_id: str, limit: int, after: SortKey | None = None
    ) -> list[Membership]:
        of = [m for m in self._present() if m.conversation_id == conversation_id]
        rest = [m for m in of if after is None or (m.joined_at, m.user_id) > after]
        return sorted(rest, key=lambda m: (m.joined_at, m.user_id))[:limit]

    async def first_of(self, conversation_ids: Collection[str], limit: int) -> dict[str, list[Membership]]:
        return {each: await self.of_conversation(each, limit) for each in conversation_ids}

    async def removed(self, within: float, until: float) -> list[Membership]:
        first, last = (now() - timedelta(seconds=seconds) for seconds in (within, until))
        ended = [m for m in self._tables.memberships.values() if m.left_at is not None]
        return [m for m in ended if m.left_at is not None and first <= m.left_at <= last]

    async def joined(self, within: float, until: float) -> list[Membership]:
        first, last = (now() - timedelta(seconds=seconds) for seconds in (within, until))
        return [m for m in self._present() if first <= m.joined_at <= last]

    async def count(self, conversation_id: str) -> int:
        return sum(m.conversation_id == conversation_id for m in self._present())

    async def among(self, conversation_id: str, user_ids: Collection[str]) -> set[str]:
        of = [m.user_id for m in self._present() if m.conversation_id == conversation_id]
        return {*of} & {*user_ids}

    async def contacts(self, conversation_ids: Collection[str], limit: int) -> set[str]:
        of = [m.user_id for m in self._present() if m.conversation_id in conversation_ids]
        return set(list(dict.fromkeys(of))[:limit])

    async def pairs(self, conversation_ids: Collection[str], limit: int) -> list[tuple[str, str]]:
        of = [m for m in self._present() if m.conversation_id in conversation_ids]
        return sorted((m.conversation_id, m.user_id) for m in of)[:limit]

    async def add(self, memberships: Sequence[Membership]) -> list[str]:
        keys = [(m.conversation_id, m.user_id) for m in memberships]
        known = {k: self._tables.memberships[k] for k in keys if k in self._tables.memberships}
        wanted = dict(zip(keys, memberships, strict=True))
        added = []
        for key in sorted(keys, key=lambda k: k in known):
            await self._between()
            if self._insert(wanted[key]) if key not in known else self._return(wanted[key]):
                added.append(key[1])
        return added

    def _insert(self, m: Membership) -> bool:
        return self._tables.memberships.setdefault((m.conversation_id, m.user_id), m) is m

    def _return(self, m: Membership) -> bool:
        key = (m.conversation_id, m.user_id)
        stored = self._tables.memberships[key]
        if stored.left_at is None:
            return False
        self._tables.memberships[key] = replace(
            stored,
            role=m.role,
            joined_at=m.joined_at,
            join_seq=max(m.join_seq, stored.own_seq),
            own_since_read=0,
            hidden_seq=m.hidden_seq,
            left_at=None,
            archived_at=None,
        )
        return True

    async def remove(self, conversation_id: str, user_id: str, *, unless: Role | None = None) -> bool:
        membership = await self.get(conversation_id, user_id)
        if membership is not None and membership.role == unless:
            return False
        return self._change(conversation_id, user_id, left_at=now(), role="member")

    async def reveal(self, conversation_id: str, user_ids: Collection[str]) -> None:
        for user_id in user_ids:
            self._change(conversation_id, user_id, hidden_seq=0)

    async def promote(self, conversation_id: str, user_id: str) -> bool:
        return self._change(conversation_id, user_id, role="owner")

    async def archive(self, conversation_id: str, user_id: str, archived: bool) -> bool:
        return self._change(conversation_id, user_id, archived_at=now() if archived else None)

    def _change(self, conversation_id: str, user_id: str, **fields: object) -> bool:
        membership = self._tables.memberships.get((conversation_id, user_id))
        if membership is None or membership.left_at is not None:
            return False
        self._tables.memberships[conversation_id, user_id] = replace(membership, **fields)
        return True


class MemoryContracts:
    """`Contracts`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, contract_ids: Collection[str]) -> dict[str, Contract]:
        return {i: self._tables.contracts[i] for i in contract_ids if i in self._tables.contracts}

    async def put(self, contract: Contract) -> None:
        self._tables.contracts[contract.id] = contract


class MemoryPeople:
    """`People`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def save(self, person: Person, issued_at: float = 0.0) -> SavedProfile:
        before = self._tables.people.get(person.id)
        newest = self._tables.issued_at.get(person.id, 0.0)
        if before is not None and newest > issued_at:
            return SavedProfile(person=before, issued_at=newest, is_renamed=False)
        self._tables.people[person.id], self._tables.issued_at[person.id] = person, issued_at
        is_renamed = before is not None and shown_of(before) != shown_of(person)
        return SavedProfile(person=person, issued_at=issued_at, is_renamed=is_renamed)

    async def add(self, person: Person, issued_at: float = 0.0) -> bool:
        if person.id in self._tables.people:
            return False
        self._tables.people[person.id], self._tables.issued_at[person.id] = person, issued_at
        return True

    async def note_tokens(self, issued_at: Mapping[str, float]) -> None:
        for user_id, at in issued_at.items():
            if user_id in self._tables.people:
                self._tables.issued_at[user_id] = max(at, self._tables.issued_at[user_id])

    async def get(self, user_ids: Collection[str]) -> dict[str, Person]:
        return {i: self._tables.people.get(i) or Person(id=i) for i in user_ids}


class MemoryConnectReads:
    """`ConnectReads`; `between` is awaited between what one call reads one after the other."""

    def __init__(self, tables: Tables, between: Callable[[], Awaitable[None]] = _at_once) -> None:
        self._tables = tables
        self._members = MemoryMembers(tables)
        self._between = between

    async def begin(self, user_id: str) -> tuple[set[str], SavedProfile | None]:
        ids = await self._members.conversations_of(user_id)
        await self._between()
        person = self._tables.people.get(user_id)
        if person is None:
            return ids, None
        at = self._tables.issued_at[user_id]
        return ids, SavedProfile(person=person, issued_at=at, is_renamed=False)

    async def load(
        self,
        user_id: str,
        conversation_ids: Collection[str],
        members_of: Collection[str],
        limit: int,
        among: Span = ALL,
    ) -> UserConversations:
        known = self._tables.conversations
        found = [known[each] for each in conversation_ids if each in known]
        heads = {c.id: head_of(c) for c in found}
        await self._between()
        stored = await self._members.of_users([user_id])
        memberships = [each for each in stored if among.includes(each.conversation_id)]
        await self._between()
        return UserConversations(heads, memberships, await self._members.pairs(members_of, limit))
