"""Attachments: files that come in, belong to a conversation, and go out to its members."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from parley.gateway.core.errors import Invalid, NotFound, Overloaded, TooLarge, Unavailable
from parley.gateway.core.ports import Attachments, Files, OrphanedAttachments, Sniffer, Upload
from parley.gateway.services.access import Access
from parley.shared.model import MAX_ATTACHMENTS, Attachment, Person, new_id, now

MAX_UPLOAD = 25 * 1024 * 1024
"""Bytes of one attachment, unless settings say otherwise."""
MAX_NAME = 255
"""Characters of a file's name."""
MAX_UPLOADS, MAX_UPLOADS_OF_ONE = 64, 4
"""Uploads under way at one gateway: of all, and of one person. Each holds some memory."""
LOOSE_FOR = timedelta(days=1)
SWEPT_AT_ONCE = 500

NO_ATTACHMENT = "There is no such attachment."
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAX_EXTENSION = 16
_JOINERS = "\u200c\u200d"
_EDGES = " ." + _JOINERS


@dataclass(frozen=True, slots=True)
class Download:
    """An attachment that somebody may read."""

    attachment: Attachment
    _files: Files

    def read(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """Its bytes from `start` up to, not including, `stop`. Raises `NotFound`, `Unavailable`."""
        return self._files.read(self.attachment.id, start, stop)


class AttachmentService:
    """Takes uploads in, gives them to conversations, and lets those conversations' members read them."""

    def __init__(
        self,
        access: Access,
        attachments: Attachments,
        files: Files,
        *,
        loose: OrphanedAttachments,
        sniffer: Callable[[], Sniffer],
        max_upload: int = MAX_UPLOAD,
    ) -> None:
        self._access = access
        self._attachments = attachments
        self._files = files
        self._loose = loose
        self._sniffer = sniffer
        self._max_upload = max_upload
        self._under_way: Counter[str] = Counter()

    async def upload(self, person: Person, name: str, chunks: AsyncIterator[bytes]) -> Attachment:
        """Take a file in as it comes; it is its owner's until a message takes it to a conversation.

        While it is under way it has one of few places, so `chunks` must not wait for ever.

        Raises:
            Unsupported, TooLarge, Invalid, Overloaded, Unavailable: nothing of it is kept. So it is
                with whatever `chunks` raises.
        """
        attachment_id = new_id()
        with self._turn(person.id):
            await self._attachments.begin(attachment_id, person.id)
            try:
                attachment = await self._store(attachment_id, clean_name(name), chunks)
                await self._attachments.finish(attachment)
            except BaseException:
                await asyncio.shield(self._undo(attachment_id))
                raise
        return attachment

    @contextmanager
    def _turn(self, user_id: str) -> Iterator[None]:
        if self._under_way[user_id] >= MAX_UPLOADS_OF_ONE or self._under_way.total() >= MAX_UPLOADS:
            raise Overloaded("Too many uploads are under way; try again.")
        self._under_way[user_id] += 1
        try:
            yield
        finally:
            self._under_way[user_id] -= 1
            if not self._under_way[user_id]:
                del self._under_way[user_id]

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
        # What cannot be undone now is swept later.
        with suppress(Unavailable):
            await self._remove(attachment_id)

    async def _remove(self, attachment_id: str) -> None:
        await self._files.delete(attachment_id)
        await self._loose.forget(attachment_id)

    async def take(
        self, person: Person, attachment_ids: Sequence[str], conversation_id: str
    ) -> tuple[Attachment, ...]:
        """Take files to a conversation that the person is in: their own loose ones, or ones it has already.

        They are bound to it from now on, also when the message that wanted them is accepted nowhere:
        its members may read them then, and the same send, tried again, takes them again.

        Raises:
            Invalid: too many, or one of them twice.
            NotFound: one of them is not there, not theirs, or another conversation's; all are as they were.
        """
        _check_list(attachment_ids)
        uploads = await self._uploads(attachment_ids)
        if not all(_may_take(person, upload, conversation_id) for upload in uploads):
            raise NotFound(NO_ATTACHMENT)
        binding = new_id()
        try:
            for upload in uploads:
                await self._bind(upload, conversation_id, binding)
        except BaseException:
            await asyncio.shield(self._unbind(attachment_ids, binding))
            raise
        return tuple(upload.attachment for upload in uploads)

    async def _bind(self, upload: Upload, conversation_id: str, binding: str) -> None:
        attachment_id = upload.attachment.id
        if upload.conversation_id is None and await self._attachments.bind(
            attachment_id, upload.owner_id, conversation_id, binding
        ):
            return
        # Somebody else may have bound it, to have it back: not any more.
        if not await self._attachments.settle(attachment_id, conversation_id):
            raise NotFound(NO_ATTACHMENT)

    async def _unbind(self, attachment_ids: Sequence[str], binding: str) -> None:
        # What cannot be undone now stays with the conversation, whose member sent it there.
        with suppress(Unavailable):
            for attachment_id in attachment_ids:
                await self._attachments.unbind(attachment_id, binding)

    async def open(self, person: Person, attachment_id: str) -> Download:
        """An attachment of a conversation that the person is in, or one of their own that is loose.

        Raises:
            NotFound: it does not exist, or is not for them.
        """
        (upload,) = await self._uploads([attachment_id])
        if not await self._may_read(person, upload):
            raise NotFound(NO_ATTACHMENT)
        return Download(upload.attachment, self._files)

    async def _may_read(self, person: Person, upload: Upload) -> bool:
        if upload.conversation_id is None:
            return upload.owner_id == person.id
        try:
            await self._access.role(person.id, upload.conversation_id)
        except NotFound:
            return False
        return True

    async def _uploads(self, attachment_ids: Sequence[str]) -> list[Upload]:
        well_formed = [i for i in attachment_ids if _ID.fullmatch(i)]
        found = await self._attachments.get(well_formed) if well_formed else {}
        try:
            return [found[i] for i in attachment_ids]
        except KeyError:
            raise NotFound(NO_ATTACHMENT) from None

    async def sweep(self) -> None:
        """Remove what uploads that died left, and what for a day no message took or all that did are deleted.

        Any gateway may.

        Raises:
            Unavailable: the rest is for the next time.
        """
        for attachment_id in await self._loose.condemn(now() - LOOSE_FOR, SWEPT_AT_ONCE):
            await self._remove(attachment_id)


def too_large(limit: int) -> TooLarge:
    """The refusal of a file of more than `limit` bytes."""
    return TooLarge(f"A file may have at most {limit} bytes.", details={"file": [f"At most {limit} bytes."]})


def clean_name(name: str) -> str:
    """A file's name as it may be shown and saved: no path, nothing invisible, never empty.

    At most `MAX_NAME` characters, of which the last are still its extension.
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
        raise Invalid.field("attachments", "Each may be there once.")


def _may_take(person: Person, upload: Upload, conversation_id: str) -> bool:
    if upload.conversation_id is None:
        return upload.owner_id == person.id
    return upload.conversation_id == conversation_id
