"""An upload is bound to one conversation, or swept."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from clients.sites import Site, site
from clients.storages import Storage
from parley.gateway.core.errors import Invalid, NotFound, Unavailable
from parley.gateway.services.attachments import ORPHANED_FOR
from parley.shared.documents import ATTACHMENTS
from parley.shared.model import MAX_ATTACHMENTS, Attachment, Person, new_id, now

DAY = int(ORPHANED_FOR.total_seconds())


@pytest.fixture
async def api(database: Any, gridfs_storage: Storage) -> AsyncIterator[Site]:
    async with site(database, gridfs_storage.files, 1_000) as api:
        yield api


@pytest.fixture
def ann() -> Person:
    return Person(id=f"ann-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def bob() -> Person:
    return Person(id=f"bob-{uuid.uuid4().hex[:8]}")


async def uploaded(api: Site, person: Person) -> Attachment:
    async def words() -> AsyncIterator[bytes]:
        yield b"words"

    return await api.service.upload(person, "words.txt", words())


async def aged(database: Any, attachment_id: str, seconds: int = DAY + 60) -> None:
    """Make an upload older."""
    await database[ATTACHMENTS].update_one({"_id": attachment_id}, {"$inc": {"loose": -seconds}})


async def test_a_message_takes_its_senders_uploads_in_its_order(api: Site, ann: Person) -> None:
    files = [await uploaded(api, ann) for _ in range(MAX_ATTACHMENTS)]
    conversation_id = await api.conversation(ann.id)

    taken = await api.service.bind(ann, [f.id for f in reversed(files)], conversation_id)

    assert taken == tuple(reversed(files))
    assert files[0] == Attachment(id=files[0].id, name="words.txt", size=5, type="text/plain")


async def test_a_retry_claims_the_same_uploads(api: Site, ann: Person) -> None:
    file = await uploaded(api, ann)
    conversation_id = await api.conversation(ann.id)
    first = await api.service.bind(ann, [file.id], conversation_id)
    assert await api.service.bind(ann, [file.id], conversation_id) == first


async def test_any_member_can_send_a_file_of_the_conversation_again(
    api: Site, ann: Person, bob: Person
) -> None:
    file = await uploaded(api, ann)
    conversation_id = await api.conversation(ann.id, bob.id)
    await api.service.bind(ann, [file.id], conversation_id)
    assert await api.service.bind(bob, [file.id], conversation_id) == (file,)


async def test_a_file_of_another_user_or_conversation_is_not_found(
    api: Site, ann: Person, bob: Person
) -> None:
    here, there = await api.conversation(ann.id, bob.id), await api.conversation(ann.id, bob.id)
    bobs, elsewhere = await uploaded(api, bob), await uploaded(api, ann)
    await api.service.bind(ann, [elsewhere.id], there)

    for wrong in (bobs.id, elsewhere.id, new_id(), "", "x" * 9_999, "\ud800", "\0"):
        with pytest.raises(NotFound, match=r"^There is no such attachment\.$"):
            await api.service.bind(ann, [wrong], here)


async def test_one_unusable_file_leaves_the_others_unbound(api: Site, ann: Person) -> None:
    file = await uploaded(api, ann)
    here, there = await api.conversation(ann.id), await api.conversation(ann.id)
    with pytest.raises(NotFound):
        await api.service.bind(ann, [file.id, new_id()], here)
    assert await api.service.bind(ann, [file.id], there) == (file,)


async def test_a_file_deleted_meanwhile_unbinds_the_files_before_it(
    api: Site, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, gone = await uploaded(api, ann), await uploaded(api, ann)
    here, there = await api.conversation(ann.id), await api.conversation(ann.id)
    on_the_way = api.attachments.bind

    async def late(attachment_id: str, *rest: str) -> bool:
        if attachment_id == gone.id:
            await on_the_way(attachment_id, ann.id, there, new_id())
        return await on_the_way(attachment_id, *rest)

    monkeypatch.setattr(api.attachments, "bind", late)
    with pytest.raises(NotFound):
        await api.service.bind(ann, [file.id, gone.id], here)
    monkeypatch.undo()

    assert (await api.attachments.get([file.id]))[file.id].conversation_id is None
    assert await api.service.bind(ann, [file.id, gone.id], there) == (file, gone)


async def test_a_file_claimed_meanwhile_stays_bound(api: Site, ann: Person) -> None:
    file, conversation_id = await uploaded(api, ann), await api.conversation(ann.id)
    assert await api.attachments.bind(file.id, ann.id, conversation_id, "one")
    await api.service.bind(ann, [file.id], conversation_id)

    await api.attachments.unbind(file.id, "one")

    assert (await api.attachments.get([file.id]))[file.id].conversation_id == conversation_id


async def test_an_unbound_file_waits_a_day_again(api: Site, ann: Person) -> None:
    file, conversation_id = await uploaded(api, ann), await api.conversation(ann.id)
    for binding in ("one", "one"):
        assert await api.attachments.bind(file.id, ann.id, conversation_id, binding)
        await api.attachments.unbind(file.id, "another")
        await api.attachments.unbind(file.id, binding)
    assert file.id not in await api.attachments.mark(now() - timedelta(hours=1), 10_000)
    assert file.id in await api.attachments.mark(now() + timedelta(hours=1), 10_000)


async def test_one_of_two_concurrent_conversations_binds_the_file(api: Site, ann: Person) -> None:
    file = await uploaded(api, ann)
    conversations = [await api.conversation(ann.id) for _ in range(8)]

    results = await asyncio.gather(
        *(api.service.bind(ann, [file.id], c) for c in conversations), return_exceptions=True
    )

    assert results.count((file,)) == 1
    assert {type(r) for r in results} == {tuple, NotFound}


@pytest.mark.parametrize(("count", "times"), [(MAX_ATTACHMENTS + 1, 1), (1, 2)])
async def test_too_many_files_or_a_repeated_one_are_refused(
    api: Site, ann: Person, count: int, times: int
) -> None:
    ids = [new_id() for _ in range(count)] * times
    with pytest.raises(Invalid, match=r"^attachments: "):
        await api.service.bind(ann, ids, await api.conversation(ann.id))


async def test_a_file_that_is_not_sent_for_a_day_is_swept(
    api: Site, ann: Person, database: Any, gridfs_storage: Storage
) -> None:
    old, young, sent = [await uploaded(api, ann) for _ in range(3)]
    conversation_id = await api.conversation(ann.id)
    await aged(database, sent.id)
    await api.service.bind(ann, [sent.id], conversation_id)
    await aged(database, old.id)
    await aged(database, young.id, DAY - 60)

    await asyncio.gather(api.service.delete_orphaned(), api.service.delete_orphaned())

    with pytest.raises(NotFound):
        await api.service.open(ann, old.id)
    assert await gridfs_storage.remains(old.id) == []
    assert await database[ATTACHMENTS].find_one({"_id": old.id}) is None
    for kept in (young, sent):
        download = await api.service.open(ann, kept.id)
        assert [chunk async for chunk in download.read(0, 5)] == [b"words"]


async def test_the_rest_of_an_interrupted_upload_is_swept(
    api: Site, ann: Person, database: Any, gridfs_storage: Storage
) -> None:
    async def words() -> AsyncIterator[bytes]:
        yield b"words"

    attachment_id = new_id()
    await api.attachments.begin(attachment_id, ann.id)
    await gridfs_storage.files.write(attachment_id, words())
    assert await api.attachments.get([attachment_id]) == {}
    await aged(database, attachment_id)

    await api.service.delete_orphaned()

    assert await gridfs_storage.remains(attachment_id) == []
    assert await database[ATTACHMENTS].find_one({"_id": attachment_id}) is None


async def test_a_file_that_cannot_be_recorded_is_not_kept(
    api: Site, ann: Person, database: Any, gridfs_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []

    async def away(attachment: Attachment) -> None:
        lost.append(attachment.id)
        raise Unavailable("The archive is away; try again.")

    monkeypatch.setattr(api.attachments, "finish", away)
    with pytest.raises(Unavailable):
        await uploaded(api, ann)

    assert await gridfs_storage.remains(lost[0]) == []
    assert await database[ATTACHMENTS].find_one({"_id": lost[0]}) is None


async def test_a_marked_file_cannot_be_bound_but_is_found_until_it_is_removed(
    api: Site, ann: Person, database: Any
) -> None:
    file = await uploaded(api, ann)
    await aged(database, file.id)
    before = now() - timedelta(days=1)

    assert file.id in await api.attachments.mark(before, 10_000)
    assert file.id in await api.attachments.mark(before, 10_000)

    with pytest.raises(NotFound):
        await api.service.bind(ann, [file.id], await api.conversation(ann.id))
    assert not await api.attachments.bind(file.id, ann.id, new_id(), new_id())
    with pytest.raises(Unavailable):
        await api.attachments.finish(file)
    await api.attachments.forget(file.id)
    assert file.id not in await api.attachments.mark(before, 10_000)


async def test_a_bound_file_is_not_removed(api: Site, ann: Person) -> None:
    file = await uploaded(api, ann)
    await api.service.bind(ann, [file.id], await api.conversation(ann.id))
    await api.attachments.forget(file.id)
    assert file.id in await api.attachments.get([file.id])
