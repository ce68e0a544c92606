"""Starting conversations, who is in them, and showing them."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from parley.gateway.core.commands import (
    AddParticipants,
    ArchiveConversation,
    CountUnread,
    CreateConversation,
    GetConversation,
    LeaveConversation,
    ListConversations,
    RemoveParticipant,
)
from parley.gateway.core.errors import Forbidden, Invalid, NotFound
from parley.gateway.core.ports import (
    Contracts,
    Conversations,
    Cut,
    EventPublisher,
    MembershipChanges,
    Memberships,
    People,
)
from parley.gateway.core.results import ConversationView, Done, Page
from parley.gateway.services.access import NO_CONVERSATION, Access
from parley.shared import rooms
from parley.shared.events import ConversationCreated, MemberRemoved, MembersAdded
from parley.shared.model import (
    MAX_PARTICIPANTS,
    MEMBERS_SHOWN,
    Contract,
    Conversation,
    Member,
    Membership,
    Person,
    Role,
    direct_key,
    new_id,
    now,
)

SIDE_BY_SIDE = 4
"""Conversations of a page whose members are asked for at the same time."""


class ConversationService:
    """Written by the gateway itself: it is rare, and its answer is wanted at once."""

    def __init__(
        self,
        access: Access,
        conversations: Conversations,
        memberships: Memberships,
        changes: MembershipChanges,
        contracts: Contracts,
        people: People,
        event_publisher: EventPublisher,
    ) -> None:
        self._access = access
        self._conversations = conversations
        self._memberships = memberships
        self._changes = changes
        self._contracts = contracts
        self._people = people
        self._event_publisher = event_publisher

    async def create(self, person: Person, command: CreateConversation) -> ConversationView:
        """Start a conversation, or find the direct one that these two have already.

        Raises:
            Invalid: the participants make no sense.
        """
        others = checked_participants(command.participants, person.id)
        if command.kind == "direct" and len(others) != 1:
            raise Invalid.field("participants", "A direct conversation has exactly one other participant.")
        at = now()
        wanted = Conversation(
            id=new_id(),
            kind=command.kind,
            title=command.title,
            direct_key=direct_key(person.id, others[0]) if command.kind == "direct" else None,
            created_by=person.id,
            created_at=at,
        )
        conversation = await self.start(wanted, others)
        return await self.get(person, GetConversation(conversation_id=conversation.id))

    async def start(self, wanted: Conversation, others: Sequence[str]) -> Conversation:
        """Store a conversation of its creator and others, and tell them; or find the one there is."""
        conversation = await self._conversations.create(
            wanted, _first_members(wanted, wanted.created_by, others)
        )
        if conversation.id == wanted.id:
            members = await self._members(conversation.id, MAX_PARTICIPANTS + 1)
            join_backfill = [m.person.id for m in members]
            await self._tell_newcomers(conversation, members, join_backfill, wanted.created_by)
        return conversation

    async def seat(self, conversation: Conversation, parties: Sequence[str], by: str) -> None:
        """Have exactly these people in a conversation, and tell whoever comes and goes."""
        present = {
            m.user_id for m in await self._memberships.of_conversation(conversation.id, MAX_PARTICIPANTS)
        }
        for gone in present - set(parties):
            await self._changes.remove(conversation.id, gone)
            await self._tell_removed(conversation.id, gone, by, heir=None)
        missing = [p for p in parties if p not in present]
        if missing:
            await self._let_in(conversation, missing, by)

    async def add(self, person: Person, command: AddParticipants) -> ConversationView:
        """Bring people into a group; those who are in it already stay as they are.

        Raises:
            NotFound, Forbidden, Invalid: nobody is added.
        """
        join_backfill = checked_participants(command.participants, person.id)
        conversation = await self._group_for_admin(person, command.conversation_id)
        await self._let_in(conversation, join_backfill, person.id)
        members = await self._members(conversation.id, MAX_PARTICIPANTS + 1)
        return await self._view(person, conversation, members)

    async def _let_in(self, conversation: Conversation, join_backfill: Sequence[str], by: str) -> None:
        at = now()
        wanted = [
            Membership(
                conversation_id=conversation.id, user_id=user_id, joined_at=at, join_seq=conversation.last_seq
            )
            for user_id in join_backfill
        ]
        added = await self._changes.add(wanted)
        if added:
            members = await self._members(conversation.id, MEMBERS_SHOWN)
            await self._tell_newcomers(conversation, members, added, by)
            named = await self._people.named(added[:MEMBERS_SHOWN])
            event = MembersAdded(conversation_id=conversation.id, people=tuple(named.values()), by=by, at=at)
            await self._event_publisher.announce({rooms.conversation(conversation.id): [event]})

    async def remove(self, person: Person, command: RemoveParticipant) -> Done:
        """Put someone out of a group.

        Raises:
            NotFound: there is no such conversation, or they are not in it.
            Forbidden: only its owner and admins may, and nobody the owner.
        """
        if command.user_id == person.id:
            return await self.leave(person, LeaveConversation(conversation_id=command.conversation_id))
        conversation = await self._group_for_admin(person, command.conversation_id)
        if not await self._changes.remove(conversation.id, command.user_id, unless="owner"):
            if await self._memberships.get(conversation.id, command.user_id) is None:
                raise NotFound("There is no such participant.")
            raise Forbidden("The owner cannot be removed.")
        await self._tell_removed(conversation.id, command.user_id, person.id, heir=None)
        return Done()

    async def leave(self, person: Person, command: LeaveConversation) -> Done:
        """Go out of a group; an owner who goes leaves it to whoever came first of the others.

        Raises:
            NotFound, Forbidden: one is not in it, or it is not a group.
        """
        role = await self._access.stored_role(person.id, command.conversation_id)
        conversation = await self._group(command.conversation_id)
        # The heir first: a group that was left half way has two owners for a moment, not none.
        heir = await self._heir(conversation.id, person.id) if role == "owner" else None
        kept: Role | None = None if role == "owner" else "owner"
        if not await self._changes.remove(conversation.id, person.id, unless=kept):
            # Made the owner at this moment, by one who left: then there is an heir to find.
            return await self.leave(person, command)
        await self._tell_removed(conversation.id, person.id, person.id, heir)
        return Done()

    async def get(self, person: Person, command: GetConversation) -> ConversationView:
        """One conversation. Raises `NotFound`."""
        await self._access.role(person.id, command.conversation_id)
        conversation = await self._existing(command.conversation_id)
        members = await self._members(conversation.id, command.shown)
        return await self._view(person, conversation, members)

    async def page(self, person: Person, command: ListConversations) -> Page:
        """A page of the user's conversations, the liveliest first. Raises `Invalid` for a wrong cursor."""
        if command.before is not None and command.after is not None:
            raise Invalid.field("before", "Give before or after, not both.")
        mine = {
            m.conversation_id: m
            for m in await self._memberships.of_users([person.id])
            if command.archived or not m.archived
        }
        found = await self._conversations.liveliest(
            list(mine), Cut(command.limit, command.page, command.before, command.after), command.contract_id
        )
        contracts = await self._contracts_of(found.conversations)
        members = await self._members_of([c.id for c in found.conversations], MEMBERS_SHOWN)
        views = [_seen(c, members[c.id], mine, contracts) for c in found.conversations]
        return Page(tuple(views), found.cursor, found.total, command.limit, command.page)

    async def archive(self, person: Person, command: ArchiveConversation) -> Done:
        """Put a conversation away from one's own list, or back. Raises `NotFound`."""
        if not await self._changes.archive(command.conversation_id, person.id, command.archived):
            raise NotFound(NO_CONVERSATION)
        return Done()

    async def unread(self, person: Person, _command: CountUnread) -> int:
        """How many messages the user has not read, in all conversations."""
        mine = await self._memberships.of_users([person.id])
        heads = await self._conversations.get([m.conversation_id for m in mine])
        return sum(m.unread(heads[m.conversation_id].last_seq) for m in mine if m.conversation_id in heads)

    async def _view(
        self, person: Person, conversation: Conversation, members: tuple[Member, ...]
    ) -> ConversationView:
        membership = await self._memberships.get(conversation.id, person.id)
        mine = {conversation.id: membership} if membership else {}
        return _seen(conversation, members, mine, await self._contracts_of([conversation]))

    async def _contracts_of(self, conversations: Sequence[Conversation]) -> dict[str, Contract]:
        ids = {c.contract_id for c in conversations if c.contract_id is not None}
        return await self._contracts.get(ids) if ids else {}

    async def _members(self, conversation_id: str, limit: int) -> tuple[Member, ...]:
        return (await self._members_of([conversation_id], limit))[conversation_id]

    async def _members_of(
        self, conversation_ids: Collection[str], limit: int
    ) -> dict[str, tuple[Member, ...]]:
        """The first `limit` members of each conversation."""
        turns = asyncio.Semaphore(SIDE_BY_SIDE)

        async def of(conversation_id: str) -> list[Membership]:
            async with turns:
                return await self._memberships.of_conversation(conversation_id, limit)

        found = await asyncio.gather(*map(of, conversation_ids))
        named = await self._people.named({m.user_id for memberships in found for m in memberships})
        return {
            conversation_id: tuple(Member(person=named[m.user_id], role=m.role) for m in memberships)
            for conversation_id, memberships in zip(conversation_ids, found, strict=True)
        }

    async def _existing(self, conversation_id: str) -> Conversation:
        conversation = (await self._conversations.get([conversation_id])).get(conversation_id)
        if conversation is None:
            raise NotFound(NO_CONVERSATION)
        return conversation

    async def _group(self, conversation_id: str) -> Conversation:
        conversation = await self._existing(conversation_id)
        if conversation.kind != "group":
            raise Forbidden("A direct conversation keeps its two participants.")
        return conversation

    async def _group_for_admin(self, person: Person, conversation_id: str) -> Conversation:
        role = await self._access.stored_role(person.id, conversation_id)
        conversation = await self._group(conversation_id)
        if role == "member":
            raise Forbidden("Only the owner and admins may do this.")
        return conversation

    async def _heir(self, conversation_id: str, owner: str) -> str | None:
        members = await self._memberships.of_conversation(conversation_id, MAX_PARTICIPANTS)
        rest = [m for m in members if m.user_id != owner]
        # Admins first, each by the time they came; whoever goes at the same moment is passed over.
        for heir in sorted(rest, key=lambda m: m.role != "admin"):
            if await self._changes.promote(conversation_id, heir.user_id):
                return heir.user_id
        return None

    async def _tell_newcomers(
        self, conversation: Conversation, members: Sequence[Member], join_backfill: Sequence[str], by: str
    ) -> None:
        event = ConversationCreated(conversation=conversation, members=tuple(members[:MEMBERS_SHOWN]), by=by)
        await self._event_publisher.announce({rooms.user(user_id): [event] for user_id in join_backfill})

    async def _tell_removed(self, conversation_id: str, user_id: str, by: str, heir: str | None) -> None:
        event = MemberRemoved(conversation_id=conversation_id, user_id=user_id, by=by, heir=heir, at=now())
        await self._event_publisher.announce({rooms.conversation(conversation_id): [event]})


def checked_participants(participants: Sequence[str], creator: str) -> Sequence[str]:
    """The other participants.

    Raises:
        Invalid: there are none, too many, one twice, or the creator is among them.
    """
    if not participants:
        raise Invalid.field("participants", "At least one other participant is needed.")
    if len(participants) > MAX_PARTICIPANTS:
        raise Invalid.field("participants", f"At most {MAX_PARTICIPANTS} at a time.")
    if len(set(participants)) != len(participants):
        raise Invalid.field("participants", "Each only once.")
    if creator in participants:
        raise Invalid.field("participants", "You are in it anyway: name only the others.")
    return participants


def _seen(
    conversation: Conversation,
    members: tuple[Member, ...],
    mine: Mapping[str, Membership],
    contracts: Mapping[str, Contract],
) -> ConversationView:
    membership = mine.get(conversation.id)
    return ConversationView(
        conversation,
        members,
        unread=membership.unread(conversation.last_seq) if membership else 0,
        archived=membership is not None and membership.archived,
        contract=contracts.get(conversation.contract_id or ""),
    )


def _first_members(conversation: Conversation, creator: str, others: Sequence[str]) -> list[Membership]:
    def membership(user_id: str, role: Role) -> Membership:
        return Membership(
            conversation_id=conversation.id, user_id=user_id, role=role, joined_at=conversation.created_at
        )

    owner: Role = "owner" if conversation.kind == "group" else "member"
    return [membership(creator, owner), *(membership(user_id, "member") for user_id in others)]
