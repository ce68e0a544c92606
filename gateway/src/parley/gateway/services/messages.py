"""Saying something, and taking it back."""

from asyncio import Future
from functools import partial
from typing import Any

from msgspec.structs import replace

from parley.gateway.core.commands import DeleteMessage, EditMessage, SendMessage
from parley.gateway.core.errors import Conflict, Forbidden, Invalid
from parley.gateway.core.ports import Outbox
from parley.gateway.core.results import MessageView, PendingCommit
from parley.gateway.services.access import Access
from parley.gateway.services.attachments import AttachmentService
from parley.gateway.state.bounded_dict import BoundedDict
from parley.shared.events import RecordRefused
from parley.shared.model import MAX_CONTENT, Attachment, Message, Person, message_id, new_id, now
from parley.shared.records import Change, Deletion, Edit, NewMessage

REMEMBERED_SENDS = 20_000
SPEAKS_FOR_THE_SYSTEM = ("admin", "service")


class MessageService:
    """Turns sends, edits and deletions into records."""

    def __init__(self, access: Access, outbox: Outbox, attachments: AttachmentService) -> None:
        self._access = access
        self._outbox = outbox
        self._attachments = attachments
        self._sent: BoundedDict[str, tuple[Any, ...]] = BoundedDict(REMEMBERED_SENDS)

    async def send(self, person: Person, command: SendMessage) -> PendingCommit:
        """Accept a message.

        Raises:
            NotFound, Invalid, Forbidden, Overloaded: it is not accepted; its uploads may be bound
                to the conversation, where a retry finds them.
            Conflict: another message went by this `client_message_id`; that one stands.
        """
        content = checked_content(command.content, needed=not command.attachments)
        await self._access.role(person.id, command.conversation_id)
        _check_type(person, command)
        named = message_id(person.id, command.conversation_id, command.client_message_id)
        self._check_repeat(named, command)
        attachments: tuple[Attachment, ...] = ()
        if command.attachments:
            attachments = await self._attachments.take(person, command.attachments, command.conversation_id)
        message = Message(
            id=named,
            conversation_id=command.conversation_id,
            sender_id=person.id,
            content=content,
            type=command.type,
            attachments=attachments,
            extra=command.extra,
            reply_to=command.reply_to,
            client_message_id=command.client_message_id,
            temp_id=command.temp_id,
            created_at=now(),
        )
        deferred = self._put(NewMessage(id=new_id(), message=message, sender=person), message, person)
        deferred.confirmed.add_done_callback(partial(self._remember, named, command))
        return deferred

    def _put(self, record: NewMessage | Change, message: Message, person: Person) -> PendingCommit:
        confirmed = self._outbox.put(record)
        view = MessageView(message, person)
        return PendingCommit(view, confirmed, record.id, record.conversation_id, person.id)

    def _check_repeat(self, named: str, command: SendMessage) -> None:
        first = self._sent.get(named)
        if first is not None and first != _said(command):
            raise Conflict(
                "Another message has this clientMessageId; it stands.", details={"messageId": named}
            )

    def _remember(self, named: str, command: SendMessage, confirmed: "Future[None]") -> None:
        """Only what was accepted stands; a worker sees what came by way of other gateways."""
        accepted = not confirmed.cancelled() and confirmed.exception() is None
        if accepted and command.client_message_id is not None and named not in self._sent:
            self._sent.put(named, _said(command))

    def refused(self, event: RecordRefused) -> None:
        """What a worker refused does not stand: the name is another message's, or free again."""
        if event.message_id is not None:
            self._sent.drop(event.message_id)

    async def edit(self, person: Person, command: EditMessage) -> PendingCommit:
        """Accept an edit of one's own message.

        Raises:
            NotFound, Forbidden, Invalid, Conflict: it is not accepted.
        """
        content = checked_content(command.content)
        message, _ = await self._access.message(person.id, command.message_id, command.conversation_id)
        if message.sender_id != person.id:
            raise Forbidden("Only its sender can edit a message.")
        if message.deleted_at is not None:
            raise Conflict("The message was deleted.")
        record = Edit(
            id=new_id(),
            conversation_id=message.conversation_id,
            message_id=message.id,
            user=person,
            content=content,
            at=now(),
        )
        # Its revision is not known until it is stored.
        edited = replace(message, content=content, edited_at=record.at, rev=0)
        return self._put(record, edited, person)

    async def delete(self, person: Person, command: DeleteMessage) -> PendingCommit:
        """Accept a deletion of one's own message, or by an owner or admin of anyone's.

        Raises:
            NotFound, Forbidden: it is not accepted.
        """
        message, role = await self._access.message(person.id, command.message_id, command.conversation_id)
        if message.sender_id != person.id and role == "member":
            raise Forbidden("Only its sender or an admin can delete a message.")
        record = Deletion(
            id=new_id(),
            conversation_id=message.conversation_id,
            message_id=message.id,
            user_id=person.id,
            at=now(),
        )
        return self._put(record, message, person)


def _said(command: SendMessage) -> tuple[Any, ...]:
    """What must be the same when a message is sent again."""
    return command.content, command.attachments, command.extra


def _check_type(person: Person, command: SendMessage) -> None:
    if command.type == "system" and person.role not in SPEAKS_FOR_THE_SYSTEM:
        raise Forbidden("Only an admin or a service may send a message of type system.")
    if command.type == "file" and not command.attachments:
        raise Invalid.field("attachments", "A message of type file has at least one.")


def checked_content(content: str, *, needed: bool = True) -> str:
    """The content as it may be stored.

    Raises:
        Invalid: it is empty or only white space though `needed`, too long, or not Unicode text.
    """
    if needed and not content.strip():
        raise Invalid.field("content", "It must not be empty.")
    if len(content) > MAX_CONTENT:
        raise Invalid.field("content", f"It must not be longer than {MAX_CONTENT} characters.")
    if not content.isascii() and any("\ud800" <= c <= "\udfff" for c in content):
        raise Invalid.field("content", "It must be valid Unicode.")
    return content
