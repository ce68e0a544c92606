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
async def place(database: Any, gridfs_storage: Storage) -> AsyncIterator[Site]:
    async with site(database, gridfs_storage.files, 1_000) as place:
        yield place


@pytest.fixture
def ann() -> Person:
    return Person(id=f"ann-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def bob() -> Person:
    return Person(id=f"bob-{uuid.uuid4().hex[:8]}")


async def uploaded(place: Site, person: Person) -> Attachment:
    async def words() -> AsyncIterator[bytes]:
        yield b"words"

    return await place.service.upload(person, "words.txt", words())


async def aged(database: Any, attachment_id: str, seconds: int = DAY + 60) -> None:
    """Make an upload older."""
    await database[ATTACHMENTS].update_one({"_id": attachment_id}, {"$inc": {"loose": -seconds}})


async def test_a_message_takes_its_senders_uploads_in_its_order(place: Site, ann: Person) -> None:
    files = [await uploaded(place, ann) for _ in range(MAX_ATTACHMENTS)]
    conversation_id = await place.conversation(ann.id)

    taken = await place.service.bind(ann, [f.id for f in reversed(files)], conversation_id)

    assert taken == tuple(reversed(files))
    assert files[0] == Attachment(id=files[0].id, name="words.txt", size=5, type="text/plain")


async def test_a_retry_claims_the_same_uploads(place: Site, ann: Person) -> None:
    file = await uploaded(place, ann)
    conversation_id = await place.conversation(ann.id)
    first = await place.service.bind(ann, [file.id], conversation_id)
    assert await place.service.bind(ann, [file.id], conversation_id) == first


async def test_any_member_can_send_a_file_of_the_conversation_again(
    place: Site, ann: Person, bob: Person
) -> None:
    file = await uploaded(place, ann)
    conversation_id = await place.conversation(ann.id, bob.id)
    await place.service.bind(ann, [file.id], conversation_id)
    assert await place.service.bind(bob, [file.id], conversation_id) == (file,)


async def test_a_file_of_another_user_or_conversation_is_not_found(
    place: Site, ann: Person, bob: Person
) -> None:
    here, there = await place.conversation(ann.id, bob.id), await place.conversation(ann.id, bob.id)
    bobs, elsewhere = await uploaded(place, bob), await uploaded(place, ann)
    await place.service.bind(ann, [elsewhere.id], there)

    for wrong in (bobs.id, elsewhere.id, new_id(), "", "x" * 9_999, "\ud800", "\0"):
        with pytest.raises(NotFound, match=r"^There is no such attachment\.$"):
            await place.service.bind(ann, [wrong], here)


async def test_one_unusable_file_leaves_the_others_unbound(place: Site, ann: Person) -> None:
    file = await uploaded(place, ann)
    here, there = await place.conversation(ann.id), await place.conversation(ann.id)
    with pytest.raises(NotFound):
        await place.service.bind(ann, [file.id, new_id()], here)
    assert await place.service.bind(ann, [file.id], there) == (file,)


async def test_a_file_deleted_meanwhile_unbinds_the_files_before_it(
    place: Site, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, gone = await uploaded(place, ann), await uploaded(place, ann)
    here, there = await place.conversation(ann.id), await place.conversation(ann.id)
    on_the_way = place.attachments.bind

    async def late(attachment_id: str, *rest: str) -> bool:
        if attachment_id == gone.id:
            await on_the_way(attachment_id, ann.id, there, new_id())
        return await on_the_way(attachment_id, *rest)

    monkeypatch.setattr(place.attachments, "bind", late)
    with pytest.raises(NotFound):
        await place.service.bind(ann, [file.id, gone.id], here)
    monkeypatch.undo()

    assert (await place.attachments.get([file.id]))[file.id].conversation_id is None
    assert await place.service.bind(ann, [file.id, gone.id], there) == (file, gone)


async def test_a_file_claimed_meanwhile_stays_bound(place: Site, ann: Person) -> None:
    file, conversation_id = await uploaded(place, ann), await place.conversation(ann.id)
    assert await place.attachments.bind(file.id, ann.id, conversation_id, "one")
    await place.service.bind(ann, [file.id], conversation_id)

    await place.attachments.unbind(file.id, "one")

    assert (await place.attachments.get([file.id]))[file.id].conversation_id == conversation_id


async def test_an_unbound_file_waits_a_day_again(place: Site, ann: Person) -> None:
    file, conversation_id = await uploaded(place, ann), await place.conversation(ann.id)
    for binding in ("one", "one"):
        assert await place.attachments.bind(file.id, ann.id, conversation_id, binding)
        await place.attachments.unbind(file.id, "another")
        await place.attachments.unbind(file.id, binding)
    assert file.id not in await place.attachments.mark(now() - timedelta(hours=1), 10_000)
    assert file.id in await place.attachments.mark(now() + timedelta(hours=1), 10_000)


async def test_one_of_two_concurrent_conversations_binds_the_file(place: Site, ann: Person) -> None:
    file = await uploaded(place, ann)
    conversations = [await place.conversation(ann.id) for _ in range(8)]

    results = await asyncio.gather(
        *(place.service.bind(ann, [file.id], c) for c in conversations), return_exceptions=True
    )

    assert results.count((file,)) == 1
    assert {type(r) for r in results} == {tuple, NotFound}


@pytest.mark.parametrize(("count", "times"), [(MAX_ATTACHMENTS + 1, 1), (1, 2)])
async def test_too_many_files_or_a_repeated_one_are_refused(
    place: Site, ann: Person, count: int, times: int
) -> None:
    ids = [new_id() for _ in range(count)] * times
    with pytest.raises(Invalid, match=r"^attachments: "):
        await place.service.bind(ann, ids, await place.conversation(ann.id))


async def test_a_file_that_is_not_sent_for_a_day_is_swept(
    place: Site, ann: Person, database: Any, gridfs_storage: Storage
) -> None:
    old, young, sent = [await uploaded(place, ann) for _ in range(3)]
    conversation_id = await place.conversation(ann.id)
    await aged(database, sent.id)
    await place.service.bind(ann, [sent.id], conversation_id)
    await aged(database, old.id)
    await aged(database, young.id, DAY - 60)

    await asyncio.gather(place.service.delete_orphaned(), place.service.delete_orphaned())

    with pytest.raises(NotFound):
        await place.service.open(ann, old.id)
    assert await gridfs_storage.remains(old.id) == []
    assert await database[ATTACHMENTS].find_one({"_id": old.id}) is None
    for kept in (young, sent):
        download = await place.service.open(ann, kept.id)
        assert [chunk async for chunk in download.read(0, 5)] == [b"words"]


async def test_the_rest_of_an_interrupted_upload_is_swept(
    place: Site, ann: Person, database: Any, gridfs_storage: Storage
) -> None:
    async def words() -> AsyncIterator[bytes]:
        yield b"words"

    attachment_id = new_id()
    await place.attachments.begin(attachment_id, ann.id)
    await gridfs_storage.files.write(attachment_id, words())
    assert await place.attachments.get([attachment_id]) == {}
    await aged(database, attachment_id)

    await place.service.delete_orphaned()

    assert await gridfs_storage.remains(attachment_id) == []
    assert await database[ATTACHMENTS].find_one({"_id": attachment_id}) is None


async def test_a_file_that_cannot_be_recorded_is_not_kept(
    place: Site, ann: Person, database: Any, gridfs_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []

    async def away(attachment: Attachment) -> None:
        lost.append(attachment.id)
        raise Unavailable("The archive is away; try again.")

    monkeypatch.setattr(place.attachments, "finish", away)
    with pytest.raises(Unavailable):
        await uploaded(place, ann)

    assert await gridfs_storage.remains(lost[0]) == []
    assert await database[ATTACHMENTS].find_one({"_id": lost[0]}) is None


async def test_a_marked_file_cannot_be_bound_but_is_found_until_it_is_removed(
    place: Site, ann: Person, database: Any
) -> None:
    file = await uploaded(place, ann)
    await aged(database, file.id)
    before = now() - timedelta(days=1)

    assert file.id in await place.attachments.mark(before, 10_000)
    assert file.id in await place.attachments.mark(before, 10_000)

    with pytest.raises(NotFound):
        await place.service.bind(ann, [file.id], await place.conversation(ann.id))
    assert not await place.attachments.bind(file.id, ann.id, new_id(), new_id())
    with pytest.raises(Unavailable):
        await place.attachments.finish(file)
    await place.attachments.forget(file.id)
    assert file.id not in await place.attachments.mark(before, 10_000)


async def test_a_bound_file_is_not_removed(place: Site, ann: Person) -> None:
    file = await uploaded(place, ann)
    await place.service.bind(ann, [file.id], await place.conversation(ann.id))
    await place.attachments.forget(file.id)
    assert file.id in await place.attachments.get([file.id])
