"""Attachments over HTTP, in an application of their own, on either storage."""

import asyncio
import io
import os
import time
import uuid
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from clients.chat import eventually
from clients.sites import Site, site
from clients.storages import Storage
from parley.gateway.adapters.mongo.gridfs_files import CHUNK_BYTES
from parley.gateway.adapters.s3.files import PART_BYTES
from parley.gateway.core.errors import ChatError
from parley.gateway.rest.attachments import HELD_BYTES
from parley.gateway.rest.file_part import MAX_PARTS
from parley.gateway.rest.form_body import OUTSIDE_BYTES, MinDataRate
from parley.gateway.services.attachments import MAX_UPLOADS_OF_ONE
from parley.gateway.state.answer_budget import USER_BYTES
from parley.gateway.state.rates import Rate
from parley.shared.documents import ATTACHMENTS
from parley.shared.model import Person

PDF = b"%PDF-1.7\n"
MOST = 2 * PART_BYTES + 100
STALLED = 120
"""Downloads, more than an S3 client has connections."""
ONCE = pytest.mark.parametrize("storage", ["gridfs"], indirect=True)
"""Runs a test on one storage only: where the bytes are stored does not matter to it."""


@pytest.fixture
async def api(database: Any, storage: Storage) -> AsyncIterator[Site]:
    async with site(database, storage.files, MOST) as api:
        yield api


@pytest.fixture
def ann() -> str:
    return f"ann-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def bob() -> str:
    return f"bob-{uuid.uuid4().hex[:8]}"


async def sent(api: Site, user: str, data: bytes = PDF, name: str = "notes.pdf") -> str:
    status, body = await api.upload(user, data, name)
    assert status == 201, body
    attachment_id: str = body["attachment"]["id"]
    return attachment_id


async def bound(api: Site, owner: str, conversation_id: str, attachment_id: str) -> None:
    await api.service.bind(Person(id=owner), [attachment_id], conversation_id)


async def known_of(database: Any, user: str) -> list[Any]:
    """Return the records of a user's uploads, unfinished ones included."""
    known: list[Any] = await database[ATTACHMENTS].find({"ownerId": user}).to_list(None)
    return known


def error(answer: tuple[int, Any], status: int, code: str) -> str:
    assert answer[0] == status, answer
    assert answer[1]["success"] is False
    assert answer[1]["error"]["code"] == code, answer
    message: str = answer[1]["error"]["message"]
    return message


@pytest.mark.parametrize("size", [9, CHUNK_BYTES, PART_BYTES + 1, MOST])
async def test_an_uploaded_file_is_downloaded_unchanged(api: Site, ann: str, size: int) -> None:
    data = PDF + os.urandom(size - len(PDF))

    status, body = await api.upload(ann, data, "Verträge.pdf")

    attachment = body["attachment"]
    assert (status, body["success"]) == (201, True)
    assert attachment == {
        "id": attachment["id"],
        "name": "Verträge.pdf",
        "size": size,
        "type": "application/pdf",
        "url": f"/attachments/{attachment['id']}",
    }
    answer, read = await api.read(ann, attachment["id"])
    assert (answer.status, read == data) == (200, True)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert {name: value for name, value in headers.items() if name not in ("date", "server")} == {
        "content-type": "application/pdf",
        "content-length": str(size),
        "content-disposition": "attachment; filename=\"Vertr_ge.pdf\"; filename*=UTF-8''Vertr%C3%A4ge.pdf",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "referrer-policy": "no-referrer",
        "cache-control": "private, no-cache",
        "etag": f'"{attachment["id"]}"',
        "accept-ranges": "bytes",
    }


@ONCE
@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "inline"),
        (b"ID3\3\0\0\0\0\0\x21" + bytes(20), "inline"),
        (PDF, "attachment"),
        (b"<html><script>alert(1)</script>", "attachment"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "attachment"),
    ],
    ids=["png", "mp3", "pdf", "html", "svg"],
)
async def test_only_types_that_cannot_run_scripts_are_shown_inline(
    api: Site, ann: str, data: bytes, shown: str
) -> None:
    answer, _ = await api.read(ann, await sent(api, ann, data, "page.html"))
    assert answer.headers["Content-Disposition"].partition(";")[0] == shown
    assert answer.headers["Content-Type"].partition(";")[0] not in ("text/html", "image/svg+xml")


@ONCE
async def test_head_answers_the_headers_of_get(api: Site, ann: str) -> None:
    attachment_id = await sent(api, ann)
    got, _ = await api.read(ann, attachment_id)
    head, body = await api.read(ann, attachment_id, "HEAD", Range="bytes=0-1")
    assert (head.status, body) == (200, b"")
    assert {**head.headers, "Date": ""} == {**got.headers, "Date": ""}


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99999999999", 0, 600_000),
        ("bytes=261119-261121", 261_119, 261_122),
        ("bytes=599999-", 599_999, 600_000),
        ("bytes=-5", 599_995, 600_000),
        ("bytes=-999999999", 0, 600_000),
        ("Bytes=1-2", 1, 3),
    ],
)
async def test_a_range_is_given_alone(api: Site, ann: str, wanted: str, start: int, stop: int) -> None:
    data = PDF + os.urandom(600_000 - len(PDF))
    answer, body = await api.read(ann, await sent(api, ann, data), Range=wanted)
    assert (answer.status, body == data[start:stop]) == (206, True)
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/600000"
    assert answer.headers["Content-Length"] == str(stop - start)


@ONCE
@pytest.mark.parametrize(
    "odd", ["bytes=2-1", "bytes=0-1,3-4", "bytes=", "bytes=-", "lines=0-1", "bytes=a-b", "0-1", "bytes=--1"]
)
async def test_anything_but_a_single_range_gets_the_whole_file(api: Site, ann: str, odd: str) -> None:
    answer, body = await api.read(ann, await sent(api, ann), Range=odd)
    assert (answer.status, body) == (200, PDF)


@ONCE
@pytest.mark.parametrize("beyond", ["bytes=9-", "bytes=9-10", "bytes=-0", "bytes=99999999999-"])
async def test_a_range_behind_the_end_is_refused(api: Site, ann: str, beyond: str) -> None:
    answer, body = await api.read(ann, await sent(api, ann), Range=beyond)
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */9")
    assert b'"RANGE_NOT_SATISFIABLE"' in body


@ONCE
async def test_a_download_goes_on_only_with_the_same_file(api: Site, ann: str) -> None:
    attachment_id = await sent(api, ann)
    more = {"Range": "bytes=1-2"}
    same, _ = await api.read(ann, attachment_id, **more, **{"If-Range": f'"{attachment_id}"'})
    other, _ = await api.read(ann, attachment_id, **more, **{"If-Range": '"another"'})
    dated, _ = await api.read(ann, attachment_id, **more, **{"If-Range": "Fri, 20 Nov 2026 12:00:00 GMT"})
    assert (same.status, other.status, dated.status) == (206, 200, 200)


@ONCE
async def test_a_cached_file_is_revalidated_without_a_body_while_the_user_may_read_it(
    api: Site, ann: str, bob: str
) -> None:
    attachment_id = await sent(api, ann)
    await bound(api, ann, conversation_id := await api.conversation(ann, bob), attachment_id)
    kept = {"If-None-Match": f'W/"{attachment_id}"'}
    assert (await api.read(bob, attachment_id, **kept))[0].status == 304

    await api.memberships.remove(conversation_id, bob)

    assert (await api.read(bob, attachment_id, **kept))[0].status == 404


@ONCE
async def test_only_members_can_read_a_file_or_learn_that_it_exists(api: Site, ann: str, bob: str) -> None:
    attachment_id = await sent(api, ann)
    assert (await api.read(bob, attachment_id))[0].status == 404
    conversation_id = await api.conversation(ann, bob)
    await bound(api, ann, conversation_id, attachment_id)

    assert (await api.read(bob, attachment_id))[1] == PDF
    hidden, secret = await api.read("a stranger", attachment_id)
    absent, nothing = await api.read("a stranger", str(uuid.uuid4()))
    assert (hidden.status, secret) == (absent.status, nothing)
    assert hidden.status == 404


@ONCE
async def test_a_removed_member_reads_no_file_not_even_an_own_one(api: Site, ann: str, bob: str) -> None:
    attachment_id = await sent(api, bob)
    conversation_id = await api.conversation(ann, bob)
    await bound(api, bob, conversation_id, attachment_id)

    await api.memberships.remove(conversation_id, bob)

    assert (await api.read(bob, attachment_id))[0].status == 404
    assert (await api.read(ann, attachment_id))[0].status == 200


@ONCE
async def test_an_id_may_be_in_upper_case(api: Site, ann: str) -> None:
    _, answer = await api.post(ann, form((FILE, b"words")), **TYPE)
    assert (await api.read(ann, answer["attachment"]["id"].upper()))[0].status == 200


@ONCE
@pytest.mark.parametrize("odd", ["x", "%00", "%ED%A0%80", "..", "A" * 5_000, "%24ne"])
async def test_an_invalid_id_is_not_found(api: Site, ann: str, odd: str) -> None:
    assert (await api.read(ann, odd))[0].status == 404


@ONCE
async def test_a_request_without_a_token_is_refused(api: Site) -> None:
    url = api.server.make_url("/attachments")
    async with api.http.post(url, data=form((FILE, b"words")), headers=TYPE) as answer:
        error((answer.status, await answer.json()), 401, "UNAUTHORIZED")
    async with api.http.get(f"{url}/{uuid.uuid4()}") as answer:
        error((answer.status, await answer.json()), 401, "UNAUTHORIZED")


async def test_a_file_that_is_too_large_is_refused_and_not_kept(api: Site, ann: str, database: Any) -> None:
    error(await api.upload(ann, PDF + bytes(MOST - len(PDF) + 1)), 413, "TOO_LARGE")
    assert await known_of(database, ann) == []


@ONCE
async def test_a_body_whose_declared_length_is_too_large_is_not_read(api: Site, ann: str) -> None:
    error(await api.upload(ann, bytes(2 * MOST)), 413, "TOO_LARGE")


@pytest.mark.parametrize("size", [100, PART_BYTES + 1])
async def test_a_file_of_no_accepted_type_is_refused_and_not_kept(
    api: Site, ann: str, size: int, database: Any
) -> None:
    error(await api.upload(ann, b"MZ" + bytes(size), "picture.png"), 415, "UNSUPPORTED_TYPE")
    assert await known_of(database, ann) == []


@ONCE
async def test_an_empty_file_is_refused_and_not_kept(api: Site, ann: str, database: Any) -> None:
    assert error(await api.upload(ann, b""), 400, "INVALID").startswith("file:")
    assert await known_of(database, ann) == []


def form(*parts: tuple[str, bytes], end: bytes = b"--x--\r\n") -> bytes:
    return b"".join(b"--x\r\n%s\r\n\r\n%s\r\n" % (head.encode(), data) for head, data in parts) + end


FILE = 'Content-Disposition: form-data; name="file"; filename="a.txt"'
FIELD = 'Content-Disposition: form-data; name="caption"'
CHARSET = 'Content-Disposition: form-data; name="_charset_"'
TYPE = {"Content-Type": "multipart/form-data; boundary=x"}


@ONCE
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x--\r\n",
        b"no form at all",
        form((FIELD, b"words")),
        form((FILE, b"one"), (FILE, b"two")),
        form((FILE, b"the end is missing"), end=b""),
        form((FILE, b"words"), end=b"--x\r\nContent-"),
        b"--x\r\n" + FILE.encode(),
        b"--x\r\nnot a header\r\n\r\nwords\r\n--x--\r\n",
        b"--x\r\n" + b"A: " + b"a" * 100_000 + b"\r\n\r\nwords\r\n--x--\r\n",
        form((FIELD, b"w" * (2 * OUTSIDE_BYTES)), (FILE, b"words")),
        form((CHARSET, b"x" * 40), (FILE, b"words")),
        form((CHARSET, b"\xff"), (FILE, b"words")),
        form((FILE + "; a" * 100, b"words")),
        form(("Content-Type: multipart/mixed; boundary=y", b"--y\r\n\r\nz\r\n--y--"), (FILE, b"words")),
    ],
)
async def test_a_body_that_is_no_form_with_a_file_is_refused_and_not_kept(
    api: Site, ann: str, body: bytes, database: Any
) -> None:
    error(await api.post(ann, body, **TYPE), 400, "INVALID")
    assert await known_of(database, ann) == []


@ONCE
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "Deflate", "br", "zstd", "identity, gzip", "x"])
async def test_a_compressed_body_is_refused_before_it_is_decompressed(
    api: Site, ann: str, encoding: str
) -> None:
    packed = io.BytesIO(zlib.compress(form(*[(FIELD, b"")] * 100_000), 9))
    answer = await api.post(ann, packed, **TYPE, **{"Content-Encoding": encoding})
    assert "uncompressed" in error(answer, 415, "UNSUPPORTED_TYPE")


@ONCE
async def test_a_body_with_identity_encoding_is_accepted(api: Site, ann: str) -> None:
    body = io.BytesIO(form((FILE, b"words")))
    assert (await api.post(ann, body, **TYPE, **{"Content-Encoding": "identity"}))[0] == 201


LARGE = 1_500_000
TEDIOUS = {
    "empty parts": form((FIELD, b"")) * (LARGE // 50),
    "empty parts after the file": form((FILE, b"words"), *[(FIELD, b"")] * (LARGE // 50)),
    "lines before": b"\n" * LARGE + form((FILE, b"words")),
    "a line before": b"x" * LARGE + b"\r\n" + form((FILE, b"words")),
    "a field of lines": form((FIELD, b"\r\n" * (LARGE // 2)), (FILE, b"words")),
    "headers": b"--x\r\n" + b"A: b\r\n" * (LARGE // 6) + b"\r\nwords\r\n--x--\r\n",
    "a header": b"--x\r\nContent-Disposition: form-data" + b"; a" * (LARGE // 3) + b"\r\n\r\n",
}


@ONCE
@pytest.mark.parametrize("body", TEDIOUS.values(), ids=TEDIOUS)
async def test_a_form_that_is_slow_to_parse_is_refused_and_blocks_nobody(
    api: Site, ann: str, body: bytes, database: Any
) -> None:
    async with longest_turn() as longest:
        begun = time.monotonic()
        error(await api.post(ann, io.BytesIO(body), **TYPE), 400, "INVALID")
        took = time.monotonic() - begun
    assert took < 3
    assert longest() < 0.5
    assert await known_of(database, ann) == []


@asynccontextmanager
async def longest_turn() -> AsyncIterator[Callable[[], float]]:
    """Yield a function that returns the longest time in seconds for which the event loop was blocked."""
    longest, last = 0.0, time.monotonic()

    async def watch() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()

    watching = asyncio.create_task(watch())
    yield lambda: longest
    watching.cancel()


@ONCE
async def test_a_file_that_looks_like_a_form_is_kept_as_it_is(api: Site, ann: str) -> None:
    data = b"\r\n--y\r\n\n\r\n-x\r\n--\n" * (LARGE // 20)
    attachment_id = (await api.post(ann, io.BytesIO(form((FILE, data))), **TYPE))[1]["attachment"]["id"]
    assert (await api.read(ann, attachment_id))[1] == data


@ONCE
async def test_a_form_has_a_limited_number_of_parts(api: Site, ann: str) -> None:
    fields = [(FIELD, b"words")] * (MAX_PARTS - 1)
    assert (await api.post(ann, form(*fields, (FILE, b"words")), **TYPE))[0] == 201
    error(await api.post(ann, form((FILE, b"words"), *fields, (FIELD, b"")), **TYPE), 400, "INVALID")


@ONCE
@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "x"])
async def test_a_part_with_a_transfer_encoding_is_refused(api: Site, ann: str, encoding: str) -> None:
    body = form((f"{FILE}\r\nContent-Transfer-Encoding: {encoding}", b"d29yZHM="))
    error(await api.post(ann, body, **TYPE), 400, "INVALID")


@ONCE
@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "multipart/form-data",
        'multipart/form-data; boundary=""',
        f"multipart/form-data; boundary={'x' * 71}",
        "text/plain",
    ],
)
async def test_a_body_of_another_type_is_refused(api: Site, ann: str, content_type: str) -> None:
    error(await api.post(ann, b"{}", **{"Content-Type": content_type}), 400, "INVALID")


@ONCE
async def test_other_fields_of_the_form_are_ignored(api: Site, ann: str) -> None:
    body = form((FIELD, b""), (FIELD, b"words"), (FILE, b"the file"), (FIELD, b"more"))
    status, answer = await api.post(ann, body, **TYPE)
    assert (status, answer["attachment"]["size"]) == (201, 8)


@ONCE
async def test_a_file_without_a_name_gets_one(api: Site, ann: str) -> None:
    body = form(('Content-Disposition: form-data; name="file"', b"words"))
    status, answer = await api.post(ann, body, **TYPE)
    assert (status, answer["attachment"]["name"]) == (201, "file")


@ONCE
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"caf\xe9 \x80.txt", "café €.txt"),
        ("café €.txt".encode(), "café €.txt"),
        (b"\x81.txt", "\ufffd.txt"),
    ],
)
async def test_a_name_that_is_not_utf_8_is_taken_for_windows_1252(
    api: Site, ann: str, sent: bytes, kept: str
) -> None:
    body = form((FILE, b"words")).replace(b"a.txt", sent)
    status, answer = await api.post(ann, body, **TYPE)
    assert (status, answer["attachment"]["name"]) == (201, kept)


@ONCE
@pytest.mark.parametrize(
    ("disposition", "kept"),
    [
        ('name="file"; filename="C:\\fakepath\\plan.txt"', "plan.txt"),
        ("name=file; filename=my plan.txt", "my plan.txt"),
        ('name="file"; filename="the \\"old\\" plan.txt"', 'the "old" plan.txt'),
        ('name="file"; filename="p.txt"; filename*=UTF-8\'\'Pl%C3%A4ne.txt', "Pläne.txt"),
        ("name=\"file\"; filename*=UTF-8''Pl%C3%A4ne.txt", "Pläne.txt"),
        ('name="file"; filename="%22old%22%0D%0A100%25.txt"', '"old" 100%25.txt'),
        ("name=\"file\"; filename*=UTF-8''%2522old%2522.txt", "%22old%22.txt"),
        ('NAME="file" ; FileName = "a;b.txt" ;', "a;b.txt"),
    ],
)
async def test_a_name_is_read_as_clients_write_it(api: Site, ann: str, disposition: str, kept: str) -> None:
    body = form((f"Content-Disposition: form-data; {disposition}", b"words"))
    status, answer = await api.post(ann, body, **TYPE)
    assert (status, answer["attachment"]["name"]) == (201, kept)


async def test_a_client_that_goes_away_leaves_nothing_behind(
    api: Site, ann: str, database: Any, storage: Storage
) -> None:
    arriving = asyncio.Event()

    async def broken_off() -> AsyncIterator[bytes]:
        yield PDF + os.urandom(2 * PART_BYTES)
        arriving.set()
        await asyncio.Event().wait()

    uploading = asyncio.create_task(api.upload(ann, broken_off()))
    await asyncio.wait_for(arriving.wait(), 20)

    async def partly_stored() -> list[Any]:
        return [d["_id"] for d in await known_of(database, ann) if await storage.remains(d["_id"])]

    (begun,) = await eventually(partly_stored)
    uploading.cancel()

    async def gone() -> bool:
        return not await known_of(database, ann) and not await storage.remains(begun)

    await eventually(gone)


@ONCE
async def test_one_user_cannot_occupy_all_upload_slots(api: Site, ann: str, bob: str, database: Any) -> None:
    held = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield PDF
        await held.wait()
        yield b"more"

    uploads = [asyncio.create_task(api.upload(ann, slow())) for _ in range(MAX_UPLOADS_OF_ONE)]

    async def all_begun() -> bool:
        return len(await known_of(database, ann)) == MAX_UPLOADS_OF_ONE

    await eventually(all_begun)
    error(await api.upload(ann, PDF), 503, "OVERLOADED")
    await sent(api, bob)
    held.set()
    assert {status for status, _ in await asyncio.gather(*uploads)} == {201}
    await sent(api, ann)


async def test_stalled_downloads_of_a_user_are_bounded_and_keep_nobody_else_out(
    api: Site, ann: str, bob: str
) -> None:
    large, small = await sent(api, ann, PDF + bytes(MOST - len(PDF))), await sent(api, bob)
    url, most = api.server.make_url(f"/attachments/{large}"), USER_BYTES // HELD_BYTES
    unlimited = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=unlimited, headers={"Authorization": ann}) as http:
        answers = await asyncio.gather(*(http.get(url) for _ in range(STALLED)))
        async with asyncio.timeout(5):
            _, body = await api.read(bob, small)
        for answer in answers:
            answer.close()

    assert body == PDF
    assert Counter(answer.status for answer in answers) == {200: most, 503: STALLED - most}
    assert {answer.headers.get("Retry-After") for answer in answers} == {None, "1"}
    _, body = await eventually(lambda: _whole(api, ann, large))
    assert len(body) == MOST


async def _whole(api: Site, user: str, attachment_id: str) -> Any:
    answer, body = await api.read(user, attachment_id)
    return (answer, body) if answer.status == 200 else None


@ONCE
@pytest.mark.parametrize("arrived", [b"--x\r\n", *(form((FILE, b"w" * n), end=b"") for n in (5, 1_000_000))])
async def test_a_stalled_upload_is_refused_and_frees_its_slot(
    database: Any, storage: Storage, ann: str, arrived: bytes
) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield arrived
        await asyncio.Event().wait()

    async with site(database, storage.files, MOST, MinDataRate(grace_seconds=0.3)) as api:
        uploads = [api.post(ann, stalled(), **TYPE) for _ in range(MAX_UPLOADS_OF_ONE)]
        for answer in await asyncio.wait_for(asyncio.gather(*uploads), 10):
            error(answer, 408, "TOO_SLOW")
        assert await known_of(database, ann) == []
        await sent(api, ann)


@ONCE
async def test_a_slow_but_steady_upload_is_accepted(database: Any, storage: Storage, ann: str) -> None:
    """The upload takes twice the time that one without progress may take."""

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"words" * 1_000
            await asyncio.sleep(0.1)

    async with site(
        database, storage.files, MOST, MinDataRate(grace_seconds=1.0, bytes_per_second=10_000)
    ) as api:
        assert (await api.upload(ann, slow()))[0] == 201


@ONCE
async def test_too_many_uploads_are_refused_with_retry_after(
    database: Any, storage: Storage, ann: str, bob: str
) -> None:
    async with site(database, storage.files, MOST, rates={"creates": Rate(0.1, 2)}) as api:
        assert [(await api.upload(ann, PDF))[0] for _ in range(2)] == [201, 201]
        status, body = await api.upload(ann, PDF)
        error((status, body), 429, "RATE_LIMITED")
        assert 0 < body["error"]["retryAfter"] <= 10
        await sent(api, bob)


async def test_a_file_that_is_lost_is_not_found(api: Site, ann: str, storage: Storage) -> None:
    attachment_id = await sent(api, ann)
    await storage.files.delete(attachment_id)
    answer, _ = await api.read(ann, attachment_id)
    assert answer.status == 404


async def test_an_interrupted_download_does_not_look_complete(
    api: Site, ann: str, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    attachment_id = await sent(api, ann, PDF + os.urandom(PART_BYTES))

    async def broken(*_: Any) -> AsyncIterator[bytes]:
        yield PDF
        raise ChatError("the storage is gone")

    monkeypatch.setattr(storage.files, "read", broken)
    with pytest.raises(aiohttp.ClientError):
        await api.read(ann, attachment_id)
