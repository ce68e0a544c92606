"""Reading what was said, and what changed since."""

from collections.abc import Sequence
from dataclasses import replace

from parley.gateway.core.commands import GetMessage, ListMessages, Sync
from parley.gateway.core.errors import Invalid, NotFound
from parley.gateway.core.ports import Conversations, Messages, People
from parley.gateway.core.results import Changes, MessageView, Page
from parley.gateway.services.access import NO_CONVERSATION, Access
from parley.shared.model import MAX_CHANGES, Message, Person

MAX_SYNCED = 100
"""Conversations that one `sync` may ask for."""


class HistoryService:
    """Pages and changes, with senders and statuses."""

    def __init__(
        self, access: Access, messages: Messages, conversations: Conversations, people: People
    ) -> None:
        self._access = access
        self._messages = messages
        self._conversations = conversations
        self._people = people

    async def page(self, person: Person, command: ListMessages) -> Page:
        """A page of messages in their order.

        Raises:
            NotFound: no such conversation, or no message `before_id` in it, for this user.
            Invalid: both `before` and `after`.
        """
        if command.after is not None and (command.before is not None or command.before_id is not None):
            raise Invalid.field("before", "Give before or after, not both.")
        await self._access.role(person.id, command.conversation_id)
        # Numbers have no holes: the last one is how many there are.
        wanted = command.counted or command.page > 1
        total = await self._last_seq(command.conversation_id) if wanted else 0
        before = await self._end(person, command, total)
        # One more than asked for tells whether there is a next page.
        found = await self._messages.page(command.conversation_id, command.limit + 1, before, command.after)
        more = len(found) > command.limit
        forward = command.after is not None
        shown = found[: command.limit] if forward else found[-command.limit :]
        edge = (shown[-1] if forward else shown[0]).seq if more else None
        cursor = str(edge) if edge is not None else None
        return Page(tuple(await self.views(shown)), cursor, total, command.limit, command.page)

    async def _end(self, person: Person, command: ListMessages, total: int) -> int | None:
        """The number that the page ends below."""
        before = command.before
        if command.before_id is not None:
            message, _ = await self._access.message(person.id, command.before_id, command.conversation_id)
            before = message.seq
        if command.page == 1:
            return before
        return (total + 1 if before is None else before) - (command.page - 1) * command.limit

    async def _last_seq(self, conversation_id: str) -> int:
        head = (await self._conversations.get([conversation_id])).get(conversation_id)
        if head is None:
            raise NotFound(NO_CONVERSATION)
        return head.last_seq

    async def get(self, person: Person, command: GetMessage) -> MessageView:
        """One message. Raises `NotFound`."""
        message, _ = await self._access.message(person.id, command.message_id, None)
        view = await self.view(message)
        if command.marked and message.sender_id != person.id:
            view = replace(view, read=max(view.read, message.seq))
        return view

    async def sync(self, person: Person, command: Sync) -> list[Changes]:
        """What changed in each conversation since the revision named for it.

        Raises:
            NotFound: one of the conversations is not the user's.
            Invalid: too many are asked for.
        """
        if len(command.revs) > MAX_SYNCED:
            raise Invalid.field("conversations", f"At most {MAX_SYNCED} at a time.")
        for conversation_id in command.revs:
            await self._access.role(person.id, conversation_id)
        return [await self._changes(c, rev) for c, rev in command.revs.items()]

    async def _changes(self, conversation_id: str, rev: int) -> Changes:
        heads = await self._conversations.get([conversation_id])
        head = heads[conversation_id].rev if conversation_id in heads else 0
        if head - rev > MAX_CHANGES:
            return Changes(conversation_id, head, too_far=True)
        found = await self._messages.changes(conversation_id, rev, MAX_CHANGES + 1)
        if len(found) > MAX_CHANGES:
            return Changes(conversation_id, head, too_far=True)
        newest = max([rev, *(m.rev for m in found)])
        return Changes(conversation_id, newest, tuple(await self.views(found)))

    async def views(self, messages: Sequence[Message]) -> list[MessageView]:
        """Messages of one conversation with their senders and how far others are."""
        if not messages:
            return []
        people = await self._people.named({m.sender_id for m in messages})
        readers, receivers = await self._messages.furthest(messages[0].conversation_id)
        return [
            MessageView(
                m,
                people[m.sender_id],
                max((r.read_seq for r in readers if r.user_id != m.sender_id), default=0),
                max((r.delivered_seq for r in receivers if r.user_id != m.sender_id), default=0),
            )
            for m in messages
        ]

    async def view(self, message: Message) -> MessageView:
        """One message likewise."""
        return (await self.views([message]))[0]
