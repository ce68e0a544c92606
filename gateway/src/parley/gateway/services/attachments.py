"""Attachments: uploading files, binding them to conversations, and reading them as a member."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import timedelta

from parley.gateway.core.errors import Invalid, NotFound, TooLarge, Unavailable
from parley.gateway.core.ports import Attachments, Files, Messages, OrphanedAttachments, Sniffer, Upload
from parley.gateway.services.access import Access
from parley.gateway.services.upload_quota import UploadQuota, Usage
from parley.gateway.services.upload_slots import UploadSlot, UploadSlots
from parley.shared.model import MAX_ATTACHMENTS, Attachment, Person, new_id, now

MAX_UPLOAD = 25 * 1024 * 1024
"""Bytes of one attachment, by default."""
MAX_NAME = 255
"""Characters of a file's name."""
MAX_UPLOADS, MAX_UPLOADS_OF_ONE = 64, 4
"""Concurrent uploads at one gateway, of all users and of one user; each of them holds memory."""
ORPHANED_FOR = timedelta(days=1)
DELETED_AT_ONCE = 500

NO_ATTACHMENT = "There is no such attachment."
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAX_EXTENSION = 16
_JOINERS = "\u200c\u200d"
_EDGES = " ." + _JOINERS


@dataclass(frozen=True, slots=True)
class Download:
    """An attachment that the user may read."""

    attachment: Attachment
    _files: Files

    def read(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Read the bytes from `start` up to, not including, `stop`. Raises `NotFound`, `Unavailable`."""
        return self._files.read(self.attachment.id, start, stop)


class AttachmentService:
    """Stores uploads, binds them to conversations, and lets the members of those read them."""

    def __init__(
        self,
        access: Access,
        attachments: Attachments,
        files: Files,
        *,
        messages: Messages,
        orphaned: OrphanedAttachments,
        sniffer: Callable[[], Sniffer],
        quota: UploadQuota,
        max_upload: int = MAX_UPLOAD,
    ) -> None:
        self._access = access
        self._attachments = attachments
        self._files = files
        self._messages = messages
        self._orphaned = orphaned
        self._sniffer = sniffer
        self._max_upload = max_upload
        self._quota = quota
        self._slots = UploadSlots(MAX_UPLOADS_OF_ONE, MAX_UPLOADS)

    async def upload(
        self, person: Person, name: str, chunks: AsyncIterator[bytes], declared: int | None = None
    ) -> Attachment:
        """Store a file as it arrives. Only its owner can read it until a message binds it to a conversation.

        Args:
            person: The owner.
            name: The file's name, as the client states it.
            chunks: The bytes. They must not stall for ever: an upload holds one of few slots.
            declared: How many bytes the client has announced, at least the file's.

        Raises:
            Unsupported, TooLarge, Invalid, Overloaded, RateLimited, Unavailable: The file is not stored.
                The same holds for every exception of `chunks`.
        """
        size = min(declared or self._max_upload, self._max_upload)
        async with self._slots.hold(person.id) as slot, self._quota.reserved(person.id, size) as usage:
            return await self._upload(person, clean_name(name), _counted(chunks, slot, usage))

    async def _upload(self, person: Person, name: str, chunks: AsyncIterator[bytes]) -> Attachment:
        attachment_id = new_id()
        await self._attachments.begin(attachment_id, person.id)
        try:
            attachment = await self._store(attachment_id, name, chunks)
            await self._attachments.finish(attachment)
        except BaseException:
            await asyncio.shield(self._undo(attachment_id))
            raise
        return attachment

    async def refresh_space(self) -> None:
        """Read how much of the storage is free. Raises `Unavailable`."""
        await self._quota.refresh()

    @property
    def free_share(self) -> float:
        """The share of the storage that is free; 1 if that is not known."""
        return self._quota.free_share

    async def _store(self, attachment_id: str, name: str, chunks: AsyncIterator[bytes]) -> Attachment:
        sniffer = self._sniffer()
        async with aclosing(self._checked(chunks, sniffer)) as checked:
            size = await self._files.write(attachment_id, checked)
        return Attachment(id=attachment_id, name=name, size=size, type=sniffer.end())

    async def _checked(self, chunks: AsyncIterator[bytes], sniffer: Sniffer) -> AsyncGenerator[bytes, None]:
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > self._max_upload:
                raise too_large(self._max_upload)
            sniffer.feed(chunk)
            yield chunk
        if not size:
            raise Invalid.field("file", "It must not be empty.")
        sniffer.end()

    async def _undo(self, attachment_id: str) -> None:
        # If the database is away, `delete_orphaned` deletes the upload later.
        with suppress(Unavailable):
            await self._remove(attachment_id)

    async def _remove(self, attachment_id: str) -> None:
        await self._files.delete(attachment_id)
        await self._orphaned.forget(attachment_id)

    async def bind(
        self, person: Person, attachment_ids: Sequence[str], conversation_id: str
    ) -> tuple[Attachment, ...]:
        """Bind uploads to a conversation that the user is a member of.

        An upload must be the user's own and unbound, or bound to this conversation already. It stays bound
        even if the message is not accepted in the end: members may read it, and a retry can bind it again.

        Raises:
            Invalid: There are too many uploads, or one of them twice.
            NotFound: An upload does not exist, has another owner, or is bound to another conversation.
                None of the uploads is changed.
        """
        _check_list(attachment_ids)
        uploads = await self._uploads(attachment_ids)
        for upload in uploads:
            if not await self._may_bind(person, upload, conversation_id):
                raise NotFound(NO_ATTACHMENT)
        binding = new_id()
        try:
            for upload in uploads:
                await self._bind_one(upload, conversation_id, binding)
        except BaseException:
            await asyncio.shield(self._unbind(attachment_ids, binding))
            raise
        return tuple(upload.attachment for upload in uploads)

    async def _bind_one(self, upload: Upload, conversation_id: str, binding: str) -> None:
        attachment_id = upload.attachment.id
        if upload.conversation_id is None and await self._attachments.bind(
            attachment_id, upload.owner_id, conversation_id, binding
        ):
            return
        # A concurrent send may have bound it and may still undo that. Confirming the binding prevents it.
        if not await self._attachments.confirm_binding(attachment_id, conversation_id):
            raise NotFound(NO_ATTACHMENT)

    async def _unbind(self, attachment_ids: Sequence[str], binding: str) -> None:
        # If the database is away, the uploads stay bound to the conversation: its member sent them there.
        with suppress(Unavailable):
            for attachment_id in attachment_ids:
                await self._attachments.unbind(attachment_id, binding)

    async def open(self, person: Person, attachment_id: str) -> Download:
        """Return an attachment of a conversation of the user, or an unbound upload of their own.

        Raises:
            NotFound: It does not exist, or the user may not read it.
        """
        (upload,) = await self._uploads([attachment_id])
        if not await self._may_read(person, upload):
            raise NotFound(NO_ATTACHMENT)
        return Download(upload.attachment, self._files)

    async def _may_read(self, person: Person, upload: Upload) -> bool:
        if upload.conversation_id is None:
            return upload.owner_id == person.id
        try:
            hidden = (await self._access.standing(person.id, upload.conversation_id)).hidden
        except NotFound:
            return False
        if not hidden or upload.owner_id == person.id:
            return True
        return await self._messages.refer_to(upload.conversation_id, upload.attachment.id, hidden)

    async def _may_bind(self, person: Person, upload: Upload, conversation_id: str) -> bool:
        return upload.conversation_id in (None, conversation_id) and await self._may_read(person, upload)

    async def _uploads(self, attachment_ids: Sequence[str]) -> list[Upload]:
        well_formed = [i for i in attachment_ids if _ID.fullmatch(i)]
        found = await self._attachments.get(well_formed) if well_formed else {}
        try:
            return [found[i] for i in attachment_ids]
        except KeyError:
            raise NotFound(NO_ATTACHMENT) from None

    async def delete_orphaned(self) -> None:
        """Delete failed uploads, and uploads that no message has had for a day.

        Several gateways may do so at the same time.

        Raises:
            Unavailable: The rest is left to the next run.
        """
        for attachment_id in await self._orphaned.mark(now() - ORPHANED_FOR, DELETED_AT_ONCE):
            await self._remove(attachment_id)


async def _counted(
    chunks: AsyncIterator[bytes], slot: UploadSlot, usage: Usage
) -> AsyncGenerator[bytes, None]:
    async for chunk in chunks:
        slot.received += len(chunk)
        usage.received += len(chunk)
        yield chunk


def too_large(limit: int) -> TooLarge:
    """Return the error for a file of more than `limit` bytes."""
    return TooLarge(f"A file may have at most {limit} bytes.", details={"file": [f"At most {limit} bytes."]})


def clean_name(name: str) -> str:
    """Return a file's name that is safe to show and to save.

    It has no path, no invisible characters and at most `MAX_NAME` characters; a short extension is kept.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    spaced = "".join(" " if c.isspace() else c for c in last)
    visible = "".join(c for c in spaced if c.isprintable() or c in _JOINERS)
    return _shortened(" ".join(visible.split()).strip(_EDGES)).strip(_EDGES) or "file"


def _shortened(name: str) -> str:
    if len(name) <= MAX_NAME:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > _MAX_EXTENSION:
        return name[:MAX_NAME]
    return f"{stem[: MAX_NAME - len(extension) - 1]}.{extension}"


def _check_list(attachment_ids: Sequence[str]) -> None:
    if len(attachment_ids) > MAX_ATTACHMENTS:
        raise Invalid.field("attachments", f"A message may have at most {MAX_ATTACHMENTS}.")
    if len(set(attachment_ids)) < len(attachment_ids):
        raise Invalid.field("attachments", "Each only once.")
