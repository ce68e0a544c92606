"""History: pages of messages, and changes since a revision."""

from collections.abc import Sequence

import msgspec

from parley.gateway.core.commands import GetMessage, ListMessages, Sync
from parley.gateway.core.errors import Invalid, NotFound
from parley.gateway.core.pagination import Page
from parley.gateway.core.ports import Conversations, Messages, People
from parley.gateway.core.positions import Revision
from parley.gateway.core.results import Changes, MessageView
from parley.gateway.services.access import Access, existing_conversation
from parley.gateway.services.epochs import Epochs
from parley.shared.model import MAX_CHANGES, MAX_SYNCED, Membership, Message, Person

SYNC_BYTES = 512 * 1024
"""Bytes of messages after which an answer to `Sync` ends: half of what a client may leave unread."""
SYNC_PAGE = 20
"""Changes that `Sync` reads at a time."""


class HistoryService:
    """Reads messages, with their senders and statuses."""

    def __init__(
        self, access: Access, messages: Messages, conversations: Conversations, people: People
    ) -> None:
        self._access = access
        self._messages = messages
        self._conversations = conversations
        self._people = people
        self._epochs = Epochs(conversations, messages)

    async def page(self, person: Person, command: ListMessages) -> Page[MessageView]:
        """Return a page of messages in ascending order.

        Raises:
            NotFound: There is no such conversation, or no message `before_id` in it, for this user.
            Invalid: Both `before` and `after` are given.
        """
        if command.after is not None and (command.before is not None or command.before_id is not None):
            raise Invalid.field("before", "Give before or after, not both.")
        hidden = (await self._access.standing(person.id, command.conversation_id)).hidden
        last = await self._last(command) if command.counted or command.page > 1 else 0
        before = await self._end(person, command, last)
        # One message more than requested shows whether there is a next page.
        found = await self._messages.page(
            command.conversation_id, command.limit + 1, before, command.after, hidden
        )
        is_forward = command.after is not None
        shown = found[: command.limit] if is_forward else found[-command.limit :]
        if command.cut:
            shown = _nearest(shown, is_forward)
        edge = shown[-1 if is_forward else 0].seq if len(found) > len(shown) else None
        cursor = str(edge) if edge is not None else None
        # Numbers have no gaps, so the last number is the number of messages.
        total = max(0, last - hidden)
        return Page(tuple(await self.views(shown)), cursor, total, command.limit, command.page)

    async def _last(self, command: ListMessages) -> int:
        return (await existing_conversation(self._conversations, command.conversation_id)).last_seq

    async def _end(self, person: Person, command: ListMessages, last: int) -> int | None:
        """Return the message number that the page ends below."""
        before = command.before
        if command.before_id is not None:
            message, _ = await self._access.message(person.id, command.before_id, command.conversation_id)
            before = message.seq
        if command.page == 1:
            return before
        return (last + 1 if before is None else before) - (command.page - 1) * command.limit

    async def get(self, person: Person, command: GetMessage) -> MessageView:
        """Return one message. Raises `NotFound`."""
        message, _ = await self._access.message(person.id, command.message_id, None)
        view = await self.view(message)
        if command.marked and message.sender_id != person.id:
            view = msgspec.structs.replace(view, read=max(view.read, message.seq))
        return view

    async def sync(self, person: Person, command: Sync) -> list[Changes]:
        """Return the changes of each conversation since the revision given for it, within `SYNC_BYTES`.

        Raises:
            Invalid: There are too many conversations.
        """
        if len(command.revs) > MAX_SYNCED:
            raise Invalid.field("conversations", f"At most {MAX_SYNCED} at a time.")
        budget = ByteBudget(SYNC_BYTES)
        return [await self._synced(person, c, held, budget) for c, held in command.revs.items()]

    async def _synced(
        self, person: Person, conversation_id: str, held: Revision, budget: "ByteBudget"
    ) -> Changes:
        try:
            hidden = (await self._access.standing(person.id, conversation_id)).hidden
            return await self._changes(conversation_id, held, budget, hidden)
        except NotFound as error:
            return Changes(conversation_id, held.rev, held.epoch or 0, error=error)

    async def _changes(
        self, conversation_id: str, held: Revision, budget: "ByteBudget", hidden: int
    ) -> Changes:
        head = await existing_conversation(self._conversations, conversation_id)
        if head.rev - held.rev > MAX_CHANGES or not await self._epochs.continues(head.id, held, head):
            return Changes(conversation_id, head.rev, head.epoch, too_far=True)
        found: list[Message] = []
        rev, epoch, more = held.rev, held.epoch, True
        while more and not budget.spent:
            page = await self._messages.changes(conversation_id, rev, SYNC_PAGE)
            taken = budget.take(page)
            found += [message for message in taken if message.seq > hidden]
            more = len(taken) == SYNC_PAGE or len(taken) < len(page)
            if taken:
                rev, epoch = taken[-1].rev, taken[-1].epoch
        return Changes(conversation_id, rev, epoch or 0, tuple(await self.views(found)), more=more)

    async def views(self, messages: Sequence[Message]) -> list[MessageView]:
        """Return views of messages, with senders and the marks of other members."""
        if not messages:
            return []
        people = await self._people.get({m.sender_id for m in messages})
        furthest = await self._messages.furthest_of({m.conversation_id for m in messages})
        return [_view(m, people[m.sender_id], *furthest[m.conversation_id]) for m in messages]

    async def view(self, message: Message) -> MessageView:
        """Return the view of one message."""
        return (await self.views([message]))[0]


def _view(
    message: Message, sender: Person, readers: Sequence[Membership], receivers: Sequence[Membership]
) -> MessageView:
    return MessageView(
        message,
        sender,
        max((r.read_seq for r in readers if r.user_id != message.sender_id), default=0),
        max((r.delivered_seq for r in receivers if r.user_id != message.sender_id), default=0),
    )


def _nearest(messages: Sequence[Message], is_forward: bool) -> list[Message]:
    """Return the messages of a page that are nearest to where it begins, within `SYNC_BYTES`."""
    budget = ByteBudget(SYNC_BYTES)
    return budget.take(messages) if is_forward else budget.take(messages[::-1])[::-1]


class ByteBudget:
    """The bytes of messages that an answer may still have."""

    def __init__(self, size: int) -> None:
        self._left = size

    @property
    def spent(self) -> bool:
        """Whether no further message may be taken."""
        return self._left <= 0

    def take(self, messages: Sequence[Message]) -> list[Message]:
        """Return the first messages, up to the one that spends the budget."""
        taken = []
        for message in messages:
            if self.spent:
                break
            self._left -= len(msgspec.json.encode(message))
            taken.append(message)
        return taken
