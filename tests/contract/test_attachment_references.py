"""A file stays as long as a stored message names it; the worker counts, the gateways read."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from clients.committed_store import CommittedMessages
from clients.sites import Site, site
from clients.storages import Storage
from parley.gateway.core.errors import NotFound
from parley.gateway.services.attachments import ORPHANED_FOR
from parley.persistence_worker.attachment_references import AttachedMessages
from parley.persistence_worker.attachment_references_mongo import MongoAttachmentReferences
from parley.persistence_worker.ports import Messages
from parley.persistence_worker.primary_connection import PrimaryConnection
from parley.shared.documents import ATTACHMENT_USES, ATTACHMENTS
from parley.shared.model import Attachment, Message, Person, new_id, now

ANN, BOB = Person(id=f"ann-{uuid.uuid4().hex[:8]}"), Person(id=f"bob-{uuid.uuid4().hex[:8]}")


@pytest.fixture
async def api(database: Any, gridfs_storage: Storage) -> AsyncIterator[Site]:
    async with site(database, gridfs_storage.files, 1_000) as api:
        yield api


@pytest.fixture
def messages(database: Any, primary: PrimaryConnection) -> Messages:
    return AttachedMessages(CommittedMessages(primary), MongoAttachmentReferences(database))


@pytest.fixture
async def here(api: Site) -> str:
    """Create a conversation of Ann and Bob."""
    return await api.conversation(ANN.id, BOB.id)


async def attached(api: Site, conversation_id: str) -> Attachment:
    """Upload a file of Ann's and bind it to a conversation."""

    async def words() -> AsyncIterator[bytes]:
        yield b"words"

    file = await api.service.upload(ANN, "words.txt", words())
    (taken,) = await api.service.bind(ANN, [file.id], conversation_id)
    return taken


def message(conversation_id: str, seq: int, *files: Attachment) -> Message:
    return Message(
        id=new_id(),
        conversation_id=conversation_id,
        sender_id=ANN.id,
        content="see",
        attachments=files,
        created_at=now(),
        seq=seq,
        rev=seq,
    )


async def delete(messages: Messages, message: Message) -> bool:
    gone = replace(message, content="", attachments=(), deleted_at=now(), rev=message.rev + 100)
    return await messages.replace([(gone, message.rev)]) == 1


async def is_readable(api: Site, file: Attachment) -> bool:
    """Return whether the members can read it; all of them can, or none."""
    answers = await asyncio.gather(
        *(api.service.open(person, file.id) for person in (ANN, BOB)), return_exceptions=True
    )
    assert not [a for a in answers if isinstance(a, BaseException) and not isinstance(a, NotFound)]
    failed = {isinstance(answer, NotFound) for answer in answers}
    assert len(failed) == 1
    return failed == {False}


async def test_a_file_is_gone_for_all_with_its_only_message(api: Site, messages: Messages, here: str) -> None:
    file, other = await attached(api, here), await attached(api, here)
    only = message(here, 1, file)
    await messages.insert([only, message(here, 2, other)])

    assert await delete(messages, only)

    assert not await is_readable(api, file)
    assert await is_readable(api, other)
    with pytest.raises(NotFound):
        await api.service.bind(ANN, [file.id], here)


async def test_a_file_named_by_another_message_stays_until_that_is_deleted_too(
    api: Site, messages: Messages, here: str
) -> None:
    file = await attached(api, here)
    first, again = message(here, 1, file), message(here, 2, file)
    await messages.insert([first])
    await messages.insert([again])
    assert await delete(messages, first)
    assert await is_readable(api, file)
    assert await delete(messages, again)
    assert not await is_readable(api, file)


async def test_a_repeated_change_counts_once(api: Site, messages: Messages, here: str, database: Any) -> None:
    """A worker killed between counting the reference and storing the message repeats both."""
    file = await attached(api, here)
    first, again = message(here, 1, file), message(here, 2, file)
    references = MongoAttachmentReferences(database)
    for _ in range(2):
        await references.add([first, again])
    await messages.insert([first, again])
    for _ in range(2):
        await references.remove([first])
    assert await delete(messages, first)
    assert await is_readable(api, file)
    await references.remove([again])
    assert await delete(messages, again)
    assert not await is_readable(api, file)
    assert await database[ATTACHMENT_USES].find_one({"attachmentId": file.id}) is None


async def test_an_edit_removes_no_file(api: Site, messages: Messages, here: str) -> None:
    file = await attached(api, here)
    first = message(here, 1, file)
    await messages.insert([first])
    assert await messages.replace([(replace(first, content="look", edited_at=now(), rev=2), 1)]) == 1
    assert await is_readable(api, file)


async def test_files_of_messages_that_are_deleted_together_are_gone_together(
    api: Site, messages: Messages, here: str
) -> None:
    files = [await attached(api, here) for _ in range(3)]
    sent = [message(here, 1, files[0], files[2]), message(here, 2, files[1]), message(here, 3, files[2])]
    await messages.insert(sent)
    gone = [replace(m, content="", attachments=(), deleted_at=now(), rev=m.rev + 100) for m in sent[:2]]

    assert await messages.replace([(m, m.seq) for m in gone]) == 2

    assert [await is_readable(api, file) for file in files] == [False, False, True]


async def test_a_file_claimed_before_a_deletion_and_stored_after_it_is_back(
    api: Site, messages: Messages, here: str
) -> None:
    file = await attached(api, here)
    first, on_its_way = message(here, 1, file), message(here, 2, file)
    await messages.insert([first])
    assert await delete(messages, first)
    await messages.insert([on_its_way])
    await api.service.delete_orphaned()
    assert await is_readable(api, file)


async def test_a_deleted_file_is_swept_a_day_later(
    api: Site, messages: Messages, here: str, database: Any, gridfs_storage: Storage
) -> None:
    file = await attached(api, here)
    only = message(here, 1, file)
    await messages.insert([only])
    assert await delete(messages, only)
    await api.service.delete_orphaned()
    assert await gridfs_storage.remains(file.id) != []

    day = int(ORPHANED_FOR.total_seconds()) + 60
    await database[ATTACHMENTS].update_one({"_id": file.id}, {"$inc": {"loose": -day}})
    await api.service.delete_orphaned()

    assert await gridfs_storage.remains(file.id) == []
    assert await database[ATTACHMENTS].find_one({"_id": file.id}) is None
