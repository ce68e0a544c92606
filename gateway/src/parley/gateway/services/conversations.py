"""Conversations: creating and listing them, and changing their members."""

from collections.abc import Mapping, Sequence
from hashlib import sha256

from parley.gateway.core.commands import (
    AddParticipants,
    ArchiveConversation,
    CountUnread,
    CreateConversation,
    GetConversation,
    LeaveConversation,
    ListConversations,
    ListParticipants,
    ListReceipts,
    RemoveParticipant,
)
from parley.gateway.core.errors import Conflict, Forbidden, Invalid, NotFound
from parley.gateway.core.pagination import Page, PageRequest, read_cursor, write_cursor
from parley.gateway.core.ports import (
    CommitBarrier,
    Contracts,
    Conversations,
    EventPublisher,
    MembershipChanges,
    Memberships,
    Messages,
    People,
)
from parley.gateway.core.results import ConversationView, Done, UnreadTotal
from parley.gateway.services.access import NO_CONVERSATION, Access, existing_conversation
from parley.gateway.services.member_summaries import MemberSummaries, MemberSummary
from parley.gateway.services.membership_events import MembershipEvents
from parley.gateway.services.unread import UnreadCounter
from parley.shared.model import (
    MAX_PARTICIPANTS,
    MEMBERS_SHOWN,
    Contract,
    Conversation,
    Member,
    Membership,
    Person,
    Role,
    conversation_id,
    direct_key,
    new_id,
    now,
)


class ConversationService:
    """Reads and writes conversations directly: writes are rare, and their result is needed at once."""

    def __init__(
        self,
        access: Access,
        conversations: Conversations,
        memberships: Memberships,
        changes: MembershipChanges,
        contracts: Contracts,
        messages: Messages,
        people: People,
        event_publisher: EventPublisher,
        barrier: CommitBarrier,
    ) -> None:
        self._access = access
        self._conversations = conversations
        self._memberships = memberships
        self._changes = changes
        self._contracts = contracts
        self._unread = UnreadCounter(messages)
        self._people = people
        self._summaries = MemberSummaries(memberships, people)
        self._barrier = barrier
        self._events = MembershipEvents(event_publisher, self._summaries, people)

    async def create(self, person: Person, command: CreateConversation) -> ConversationView:
        """Create a conversation, or return the one that exists already.

        That is the direct one of the two users, or the one that the user has created by the same request
        under the same `client_conversation_id`.

        Raises:
            Invalid: The participants are not valid.
            Conflict: The user has created another conversation with this `client_conversation_id`.
            NotFound: It was created before, and the user has left it since.
        """
        others = checked_participants(command.participants, person.id)
        if command.kind == "direct" and len(others) != 1:
            raise Invalid.field("participants", "A direct conversation has exactly one other participant.")
        wanted = _wanted(person, command)
        conversation = await self.start(wanted, others)
        if conversation.created_from != wanted.created_from:
            raise Conflict("Another conversation was created with this clientConversationId.")
        return await self.get(person, GetConversation(conversation_id=conversation.id))

    async def start(self, wanted: Conversation, others: Sequence[str]) -> Conversation:
        """Store a conversation and notify its first members, or return the one that exists already.

        They are notified again if it exists: the gateway that created it may have crashed before. Members who
        were added since are not: a request that names one user would cost as much as a thousand.
        """
        conversation = await self._conversations.create(
            wanted, _first_members(wanted, wanted.created_by, others)
        )
        if conversation.id == wanted.id and conversation.created_from == wanted.created_from:
            first = [wanted.created_by, *others]
            present = await self._memberships.among(conversation.id, first)
            notified = [user_id for user_id in first if user_id in present]
            await self._events.created(conversation, notified, wanted.created_by)
        return conversation

    async def set_members(
        self, conversation: Conversation, user_ids: Sequence[str], by: str, *, share_history: bool
    ) -> None:
        """Make these users, and no others, the members of a conversation, and publish the changes.

        Unless `share_history`, what was said so far is hidden from those who are added.
        """
        present = {
            m.user_id for m in await self._memberships.of_conversation(conversation.id, MAX_PARTICIPANTS)
        }
        for gone in present - set(user_ids):
            await self._changes.remove(conversation.id, gone)
            await self._events.removed(conversation.id, gone, by, new_owner=None)
        missing = [u for u in user_ids if u not in present]
        if missing:
            if not share_history:
                # Messages that are accepted and not stored yet have no number to hide them by.
                await self._barrier.wait(conversation.id)
            conversation = await existing_conversation(self._conversations, conversation.id)
            await self._add_members(
                conversation, missing, by, hidden=0 if share_history else conversation.last_seq
            )
        if share_history:
            await self._changes.reveal(conversation.id, user_ids)

    async def add(self, person: Person, command: AddParticipants) -> ConversationView:
        """Add members to a group; existing members stay as they are.

        Raises:
            NotFound, Forbidden, Invalid: No member is added.
        """
        user_ids = checked_participants(command.participants, person.id)
        conversation = await self._group_for_admin(person, command.conversation_id)
        await self._add_members(conversation, user_ids, person.id)
        return await self._view(person, conversation, MAX_PARTICIPANTS + 1)

    async def _add_members(
        self, conversation: Conversation, user_ids: Sequence[str], by: str, *, hidden: int = 0
    ) -> None:
        at = now()
        wanted = [
            Membership(
                conversation_id=conversation.id,
                user_id=user_id,
                joined_at=at,
                join_seq=conversation.last_seq,
                hidden_seq=hidden,
            )
            for user_id in user_ids
        ]
        added = await self._changes.add(wanted)
        if added:
            await self._events.created(conversation, added, by)
            await self._events.added(conversation.id, added, by, at)

    async def remove(self, person: Person, command: RemoveParticipant) -> Done:
        """Remove a member from a group.

        Raises:
            NotFound: There is no such conversation, or the user to remove is no member.
            Forbidden: The user is neither the owner nor an admin, or the one to remove is the owner.
        """
        if command.user_id == person.id:
            return await self.leave(person, LeaveConversation(conversation_id=command.conversation_id))
        conversation = await self._group_for_admin(person, command.conversation_id)
        if not await self._changes.remove(conversation.id, command.user_id, unless="owner"):
            if await self._memberships.get(conversation.id, command.user_id) is None:
                raise NotFound("There is no such participant.")
            raise Forbidden("The owner cannot be removed.")
        await self._events.removed(conversation.id, command.user_id, person.id, new_owner=None)
        return Done()

    async def leave(self, person: Person, command: LeaveConversation) -> Done:
        """Leave a group. If the owner leaves, the admin or else the member who joined first becomes owner.

        Raises:
            NotFound: The user is no member.
            Forbidden: The conversation is not a group.
        """
        role = await self._access.stored_role(person.id, command.conversation_id)
        conversation = await self._group(command.conversation_id)
        # The gateway may die between the two writes. Promoting first leaves two owners then, not none.
        new_owner = await self._promote_another(conversation.id, person.id) if role == "owner" else None
        kept: Role | None = None if role == "owner" else "owner"
        if not await self._changes.remove(conversation.id, person.id, unless=kept):
            # The user became the owner since the role was read, because the owner left. Leaving as a member
            # would leave the group without an owner, so start again.
            return await self.leave(person, command)
        await self._events.removed(conversation.id, person.id, person.id, new_owner)
        return Done()

    async def get(self, person: Person, command: GetConversation) -> ConversationView:
        """Return one conversation. Raises `NotFound`."""
        await self._access.role(person.id, command.conversation_id)
        conversation = await existing_conversation(self._conversations, command.conversation_id)
        return await self._view(person, conversation, command.shown)

    async def participants(self, person: Person, command: ListParticipants) -> Page[Member]:
        """Return a page of a conversation's members. Raises `NotFound`, or `Invalid` for a bad cursor."""
        page = await self._members_page(person, command)
        people = await self._people.get([m.user_id for m in page.items])
        return page.with_items([Member(person=people[m.user_id], role=m.role) for m in page.items])

    async def receipts(self, person: Person, command: ListReceipts) -> Page[Membership]:
        """Return a page of the memberships, which hold the marks. Raises as `participants` does."""
        return await self._members_page(person, command)

    async def _members_page(
        self, person: Person, command: ListReceipts | ListParticipants
    ) -> Page[Membership]:
        await self._access.role(person.id, command.conversation_id)
        start = read_cursor("after", command.after) if command.after is not None else None
        found = await self._memberships.of_conversation(command.conversation_id, command.limit + 1, start)
        shown = found[: command.limit]
        is_last = len(found) <= command.limit
        cursor = None if is_last else write_cursor(shown[-1].joined_at, shown[-1].user_id)
        return Page(tuple(shown), cursor)

    async def page(self, person: Person, command: ListConversations) -> Page[ConversationView]:
        """Return a page of the user's conversations, most recent first. Raises `Invalid` for a bad cursor."""
        if command.before is not None and command.after is not None:
            raise Invalid.field("before", "Give before or after, not both.")
        ids = await self._memberships.conversations_of(person.id, archived=command.archived)
        request = PageRequest(command.limit, command.page, command.before, command.after)
        found = await self._conversations.most_recent(list(ids), request, command.contract_id)
        mine = await self._memberships.of_user(person.id, [c.id for c in found.items])
        contracts = await self._contracts_of(found.items)
        summaries = await self._summaries.of({c.id: mine.get(c.id) for c in found.items}, MEMBERS_SHOWN)
        unread = await self._counts(mine, found.items)
        return found.with_items([_view_of(c, summaries[c.id], mine, unread, contracts) for c in found.items])

    async def archive(self, person: Person, command: ArchiveConversation) -> Done:
        """Archive a conversation for one user, or undo it. Raises `NotFound`."""
        if not await self._changes.archive(command.conversation_id, person.id, command.archived):
            raise NotFound(NO_CONVERSATION)
        return Done()

    async def unread(self, person: Person, _command: CountUnread) -> UnreadTotal:
        """Return the user's unread messages in all conversations."""
        heads = await self._conversations.get(await self._memberships.conversations_of(person.id))
        mine = await self._memberships.of_user(person.id, heads)
        counts = await self._counts(mine, list(heads.values()))
        return UnreadTotal(sum(counts.values()), len(heads))

    async def _counts(
        self, mine: Mapping[str, Membership], conversations: Sequence[Conversation]
    ) -> dict[str, int]:
        """Return the unread counts of a user in conversations that were read before the memberships."""
        heads = {c.id: c.last_seq for c in conversations}
        return await self._unread.count([m for m in mine.values() if m.conversation_id in heads], heads)

    async def _view(self, person: Person, conversation: Conversation, shown: int) -> ConversationView:
        membership = await self._memberships.get(conversation.id, person.id)
        mine = {conversation.id: membership} if membership else {}
        summary = (await self._summaries.of({conversation.id: membership}, shown))[conversation.id]
        unread = await self._counts(mine, [conversation])
        return _view_of(conversation, summary, mine, unread, await self._contracts_of([conversation]))

    async def _contracts_of(self, conversations: Sequence[Conversation]) -> dict[str, Contract]:
        ids = {c.contract_id for c in conversations if c.contract_id is not None}
        return await self._contracts.get(ids) if ids else {}

    async def _group(self, conversation_id: str) -> Conversation:
        conversation = await existing_conversation(self._conversations, conversation_id)
        if conversation.kind != "group":
            raise Forbidden("The participants of a direct conversation cannot be changed.")
        return conversation

    async def _group_for_admin(self, person: Person, conversation_id: str) -> Conversation:
        role = await self._access.stored_role(person.id, conversation_id)
        conversation = await self._group(conversation_id)
        if role == "member":
            raise Forbidden("Only the owner and admins may change the members.")
        return conversation

    async def _promote_another(self, conversation_id: str, owner: str) -> str | None:
        """Make another member the owner; return its id."""
        members = await self._memberships.of_conversation(conversation_id, MAX_PARTICIPANTS)
        rest = [m for m in members if m.user_id != owner]
        # Members come by time of joining. If one leaves concurrently, `promote` fails and the next is tried.
        for member in sorted(rest, key=lambda m: m.role != "admin"):
            if await self._changes.promote(conversation_id, member.user_id):
                return member.user_id
        return None


def checked_participants(participants: Sequence[str], creator: str) -> Sequence[str]:
    """Return the participants of a conversation besides its creator.

    Raises:
        Invalid: There are none, too many, one of them twice, or the creator is among them.
    """
    if not participants:
        raise Invalid.field("participants", "At least one other participant is needed.")
    if len(participants) > MAX_PARTICIPANTS:
        raise Invalid.field("participants", f"At most {MAX_PARTICIPANTS} at a time.")
    if len(set(participants)) != len(participants):
        raise Invalid.field("participants", "Each only once.")
    if creator in participants:
        raise Invalid.field("participants", "Name only the other participants, not yourself.")
    return participants


def _wanted(person: Person, command: CreateConversation) -> Conversation:
    is_direct = command.kind == "direct"
    # The two users have one direct conversation, whatever the client calls it.
    named = None if is_direct else command.client_conversation_id
    return Conversation(
        id=conversation_id(person.id, named) if named else new_id(),
        kind=command.kind,
        title=command.title,
        direct_key=direct_key(person.id, command.participants[0]) if is_direct else None,
        created_by=person.id,
        created_at=now(),
        created_from=_digest(command) if named else None,
    )


def _digest(command: CreateConversation) -> str:
    """Return what a retry must have in common with the first request, in short."""
    compared = [command.kind, command.title, *sorted(command.participants)]
    return sha256("\0".join(compared).encode(errors="surrogatepass")).hexdigest()


def _view_of(
    conversation: Conversation,
    summary: MemberSummary,
    mine: Mapping[str, Membership],
    unread: Mapping[str, int],
    contracts: Mapping[str, Contract],
) -> ConversationView:
    membership = mine.get(conversation.id)
    return ConversationView(
        conversation.as_seen_from(membership.hidden_seq if membership else 0),
        summary.members,
        summary.total,
        unread=unread.get(conversation.id, 0),
        archived=membership is not None and membership.archived,
        contract=contracts.get(conversation.contract_id or ""),
        read_seq=membership.base if membership else 0,
    )


def _first_members(conversation: Conversation, creator: str, others: Sequence[str]) -> list[Membership]:
    def membership(user_id: str, role: Role) -> Membership:
        return Membership(
            conversation_id=conversation.id, user_id=user_id, role=role, joined_at=conversation.created_at
        )

    owner: Role = "owner" if conversation.kind == "group" else "member"
    return [membership(creator, owner), *(membership(user_id, "member") for user_id in others)]
