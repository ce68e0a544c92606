"""The storage of attachments: GridFS and an S3 bucket behave alike."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from clients.storages import Storage
from parley.gateway.adapters.files import open_files
from parley.gateway.adapters.mongo.gridfs_files import CHUNK_BYTES, GridFiles
from parley.gateway.adapters.s3.files import PART_BYTES, Bucket, S3Files, connect
from parley.gateway.core.errors import NotFound, Unavailable
from parley.gateway.core.ports import Files
from parley.gateway.settings import Settings
from parley.shared import mongo
from parley.shared.settings import SettingsError

SIZES = [1, CHUNK_BYTES, CHUNK_BYTES + 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 7]


def new_file() -> str:
    return str(uuid.uuid4())


async def cut(data: bytes, step: int = 60_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), step):
        yield data[start : start + step]


async def content(files: Files, file_id: str, start: int, stop: int) -> bytes:
    return b"".join([chunk async for chunk in files.read(file_id, start, stop)])


@pytest.mark.parametrize("size", SIZES)
async def test_a_written_file_is_read_back(storage: Storage, size: int) -> None:
    file_id, data = new_file(), os.urandom(size)

    assert await storage.files.write(file_id, cut(data)) == size

    assert await content(storage.files, file_id, 0, size) == data


async def test_a_range_is_read_exactly(storage: Storage) -> None:
    size = PART_BYTES + CHUNK_BYTES + 11
    file_id, data = new_file(), os.urandom(size)
    await storage.files.write(file_id, cut(data))

    edges = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, PART_BYTES, PART_BYTES + 1, size - 1, size]
    for start, stop in [(a, b) for a in edges for b in edges if a < b]:
        assert await content(storage.files, file_id, start, stop) == data[start:stop], (start, stop)


async def test_a_file_arrives_in_many_small_pieces(storage: Storage) -> None:
    file_id, data = new_file(), os.urandom(20_000)
    await storage.files.write(file_id, cut(data, 7))
    assert await content(storage.files, file_id, 0, len(data)) == data


async def test_files_do_not_mix(storage: Storage) -> None:
    data = {new_file(): os.urandom(PART_BYTES + n) for n in range(3)}

    await asyncio.gather(*(storage.files.write(i, cut(d)) for i, d in data.items()))

    for file_id, written in data.items():
        assert await content(storage.files, file_id, 0, len(written)) == written


async def test_a_reader_may_stop_in_the_middle(storage: Storage) -> None:
    file_id, data = new_file(), os.urandom(2 * CHUNK_BYTES)
    await storage.files.write(file_id, cut(data))

    reading = storage.files.read(file_id, 0, len(data))
    first = await anext(reading)
    await reading.aclose()

    assert data.startswith(first)
    assert await content(storage.files, file_id, 0, len(data)) == data


async def test_an_unknown_file_is_not_found(storage: Storage) -> None:
    with pytest.raises(NotFound):
        await anext(storage.files.read(new_file(), 0, 1))


@pytest.mark.parametrize("size", [10, PART_BYTES + 1])
async def test_a_deleted_file_is_gone(storage: Storage, size: int) -> None:
    file_id = new_file()
    await storage.files.write(file_id, cut(os.urandom(size)))

    await storage.files.delete(file_id)

    with pytest.raises(NotFound):
        await anext(storage.files.read(file_id, 0, size))
    assert await storage.remains(file_id) == []


async def test_deleting_an_unknown_file_is_harmless(storage: Storage) -> None:
    await storage.files.delete(new_file())


@pytest.mark.parametrize("size", [0, 10, CHUNK_BYTES + 1, PART_BYTES + 1, 2 * PART_BYTES + 1])
async def test_a_broken_write_leaves_nothing(storage: Storage, size: int) -> None:
    async def broken() -> AsyncIterator[bytes]:
        async for chunk in cut(os.urandom(size)):
            yield chunk
        raise ConnectionResetError("the client is gone")

    file_id = new_file()
    with pytest.raises(ConnectionResetError):
        await storage.files.write(file_id, broken())

    assert await storage.remains(file_id) == []
    with pytest.raises(NotFound):
        await anext(storage.files.read(file_id, 0, 1))


@pytest.mark.parametrize("size", [10, PART_BYTES + CHUNK_BYTES + 1])
async def test_a_cancelled_write_leaves_nothing(storage: Storage, size: int) -> None:
    waiting = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        async for chunk in cut(os.urandom(size)):
            yield chunk
        waiting.set()
        await asyncio.Event().wait()

    file_id = new_file()
    writing = asyncio.create_task(storage.files.write(file_id, endless()))
    await asyncio.wait_for(waiting.wait(), 30)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert await storage.remains(file_id) == []


async def test_a_write_cancelled_at_any_moment_leaves_nothing(storage: Storage) -> None:
    for moment in range(12):
        file_id = new_file()
        writing = asyncio.create_task(storage.files.write(file_id, cut(os.urandom(PART_BYTES + 1))))
        await asyncio.wait([writing], timeout=moment / 100)
        writing.cancel()
        await asyncio.wait([writing])
        if writing.cancelled():
            assert await storage.remains(file_id) == []


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"s3_bucket": "nobodys"}, "S3_BUCKET 'nobodys' cannot be used: there is no such bucket."),
        ({"s3_bucket": "a b"}, "S3_BUCKET 'a b' is not a valid bucket name."),
        ({"s3_bucket": ""}, "S3_BUCKET is not set: ATTACHMENTS=s3 needs one."),
        (
            {"s3_endpoint": "http://a b"},
            "S3_ENDPOINT or S3_REGION is invalid: Invalid endpoint: http://a b.",
        ),
    ],
)
async def test_an_unusable_bucket_is_reported_in_one_sentence(
    bucket: Bucket, s3_storage: Storage, wrong: dict[str, str], complaint: str
) -> None:
    right = Settings(
        attachments="s3",
        s3_bucket=bucket.name,
        s3_endpoint=bucket.endpoint,
        s3_access_key=bucket.access_key,
        s3_secret_key=bucket.secret_key,
    )
    async with open_files(right, None) as files:
        assert isinstance(files, S3Files)
    with pytest.raises(SettingsError) as refused:
        await open_files(replace(right, **wrong), None).__aenter__()
    assert str(refused.value) == complaint


async def test_a_bucket_whose_server_is_away_is_unavailable() -> None:
    away = Bucket(
        name="away", region="us-east-1", endpoint="http://127.0.0.1:1", access_key="a", secret_key="b"
    )
    async with connect(away) as files:
        await every_call_is_unavailable(files)


async def test_a_database_that_is_away_is_unavailable() -> None:
    async with mongo.connect("mongodb://127.0.0.1:1/x", serverSelectionTimeoutMS=100) as database:
        await every_call_is_unavailable(GridFiles(database))


async def every_call_is_unavailable(files: Files) -> None:
    for call in (
        lambda: files.write(new_file(), cut(b"data")),
        lambda: anext(files.read(new_file(), 0, 1)),
        lambda: files.delete(new_file()),
    ):
        with pytest.raises(Unavailable):
            await call()
