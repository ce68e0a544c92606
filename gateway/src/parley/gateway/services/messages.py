"""Messages: sending, editing and deleting them."""

from asyncio import Future
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from parley.gateway.core.commands import DeleteMessage, EditMessage, SendMessage
from parley.gateway.core.errors import Conflict, Forbidden, Invalid
from parley.gateway.core.eventual import Eventual, settle
from parley.gateway.core.ports import Outbox
from parley.gateway.core.results import MessageView, PendingCommit
from parley.gateway.services.access import Access
from parley.gateway.services.attachments import AttachmentService
from parley.gateway.state.bounded_dict import BoundedDict
from parley.gateway.state.shared_futures import SharedFutures
from parley.shared.events import RecordRefused
from parley.shared.model import MAX_CONTENT, Attachment, Message, Person, message_id, new_id, now
from parley.shared.records import Change, Deletion, Edit, NewMessage

REMEMBERED_SENDS = 20_000
SYSTEM_SENDERS = ("admin", "service")
"""Roles that may send messages of type `system`."""


class MessageService:
    """Turns sends, edits and deletions into records."""

    def __init__(self, access: Access, outbox: Outbox, attachments: AttachmentService) -> None:
        self._access = access
        self._outbox = outbox
        self._attachments = attachments
        self._sent: BoundedDict[str, tuple[Any, ...]] = BoundedDict(REMEMBERED_SENDS)
        self._unconfirmed: SharedFutures[tuple[str, SendMessage]] = SharedFutures(self._remember)

    async def send(self, person: Person, command: SendMessage) -> PendingCommit:
        """Accept a message.

        Raises:
            NotFound, Invalid, Forbidden, Overloaded: The message is not accepted. Its attachments may be
                bound to the conversation; a retry can use them.
            Conflict: A different message with this `client_message_id` was accepted before.
        """
        return await settle(self.begin_send(person, command))

    def begin_send(self, person: Person, command: SendMessage) -> Eventual[PendingCommit]:
        """Accept a message at once, unless its sender's membership or its attachments must be read first.

        Raises what `send` raises.
        """
        checked_content(command.content, needed=not command.attachments)
        role = self._access.cached_role(person.id, command.conversation_id)
        if role is None or command.attachments:
            return self._send_after_reads(person, command)
        return self._accept(person, command, self._checked_id(person, command))

    async def _send_after_reads(self, person: Person, command: SendMessage) -> PendingCommit:
        await self._access.role(person.id, command.conversation_id)
        id_ = self._checked_id(person, command)
        if not command.attachments:
            return self._accept(person, command, id_)
        bound = await self._attachments.bind(person, command.attachments, command.conversation_id)
        return self._accept(person, command, id_, bound)

    def _checked_id(self, person: Person, command: SendMessage) -> str:
        """Return the message's id. Raises `Forbidden`, `Invalid`, `Conflict`."""
        _check_type(person, command)
        id_ = message_id(person.id, command.conversation_id, command.client_message_id)
        self._check_retry(id_, command)
        return id_

    def _accept(
        self, person: Person, command: SendMessage, id_: str, attachments: tuple[Attachment, ...] = ()
    ) -> PendingCommit:
        message = Message(
            id=id_,
            conversation_id=command.conversation_id,
            sender_id=person.id,
            content=command.content,
            type=command.type,
            attachments=attachments,
            extra=command.extra,
            reply_to=command.reply_to,
            client_message_id=command.client_message_id,
            temp_id=command.temp_id,
            created_at=now(),
        )
        pending = self._put(NewMessage(id=new_id(), message=message, sender=person), message, person)
        if command.client_message_id is not None:
            self._unconfirmed.add(pending.confirmed, (id_, command))
        return pending

    def _put(self, record: NewMessage | Change, message: Message, person: Person) -> PendingCommit:
        confirmed = self._outbox.put(record)
        view = MessageView(message, person)
        return PendingCommit(view, confirmed, record.id, record.conversation_id, person.id)

    def _check_retry(self, id_: str, command: SendMessage) -> None:
        first = self._sent.get(id_)
        if first is not None and first != _compared(command):
            raise Conflict(
                "A different message was sent with this clientMessageId.", details={"messageId": id_}
            )

    def _remember(self, confirmed: "Future[None]", sends: Sequence[tuple[str, SendMessage]]) -> None:
        # A send that was not confirmed may be corrected under the same id. Retries that went to another
        # gateway are compared by the worker.
        if confirmed.cancelled() or confirmed.exception() is not None:
            return
        for id_, command in sends:
            if id_ not in self._sent:
                self._sent.put(id_, _compared(command))

    def on_refused(self, event: RecordRefused) -> None:
        """Forget a send that a worker refused: its id belongs to another message, or is free again."""
        if event.message_id is not None:
            self._sent.discard(event.message_id)

    async def edit(self, person: Person, command: EditMessage) -> PendingCommit:
        """Accept an edit of the user's own message.

        Raises:
            NotFound, Forbidden, Invalid, Conflict: The edit is not accepted.
        """
        content = checked_content(command.content)
        message, _ = await self._access.message(person.id, command.message_id, command.conversation_id)
        if message.sender_id != person.id:
            raise Forbidden("Only its sender may edit a message.")
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
        # A worker assigns the revision when it stores the edit.
        edited = replace(message, content=content, edited_at=record.at, rev=0)
        return self._put(record, edited, person)

    async def delete(self, person: Person, command: DeleteMessage) -> PendingCommit:
        """Accept a deletion: by the sender, or by an owner or admin of the conversation.

        Raises:
            NotFound, Forbidden: The deletion is not accepted.
        """
        message, role = await self._access.message(person.id, command.message_id, command.conversation_id)
        if message.sender_id != person.id and role == "member":
            raise Forbidden("Only its sender or an admin may delete a message.")
        record = Deletion(
            id=new_id(),
            conversation_id=message.conversation_id,
            message_id=message.id,
            user_id=person.id,
            at=now(),
        )
        return self._put(record, message, person)


def _compared(command: SendMessage) -> tuple[Any, ...]:
    """Return what a retry must have in common with the first send."""
    return command.content, command.attachments, command.extra


def _check_type(person: Person, command: SendMessage) -> None:
    if command.type == "system" and person.role not in SYSTEM_SENDERS:
        raise Forbidden("Only an admin or a service may send a message of type system.")
    if command.type == "file" and not command.attachments:
        raise Invalid.field("attachments", "A message of type file needs an attachment.")


def checked_content(content: str, *, needed: bool = True) -> str:
    """Return the content of a message.

    Raises:
        Invalid: It is too long, not valid Unicode, or blank although `needed`.
    """
    if len(content) > MAX_CONTENT:
        raise Invalid.field("content", f"It must not be longer than {MAX_CONTENT} characters.")
    if needed and not content.strip():
        raise Invalid.field("content", "It must not be empty.")
    if not content.isascii() and any("\ud800" <= c <= "\udfff" for c in content):
        raise Invalid.field("content", "It must be valid Unicode.")
    return content
