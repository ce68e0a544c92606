"""Fixtures of the attachment tests: both file storages, each on a real server."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from clients.storages import Storage, client_of, s3_server
from parley.gateway.adapters.mongo.gridfs_files import GridFiles
from parley.gateway.adapters.s3.files import PREFIX, Bucket, connect
from parley.shared.documents import FILE_CHUNKS, FILES
from parley.shared.migrations import migrate


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    """A bucket of a real HTTP server."""
    with s3_server() as bucket:
        yield bucket


@pytest.fixture(params=["gridfs", "s3"])
def storage(request: pytest.FixtureRequest) -> Storage:
    """Each kind of storage in turn."""
    storage: Storage = request.getfixturevalue(f"{request.param}_storage")
    return storage


@pytest.fixture
async def gridfs_storage(database: Any) -> Storage:
    await migrate(database)

    async def remains(file_id: str) -> list[Any]:
        chunks = await database[FILE_CHUNKS].find({"files_id": file_id}, {"n": 1}).to_list(None)
        return chunks + await database[FILES].find({"_id": file_id}).to_list(None)

    return Storage(GridFiles(database), remains)


@pytest.fixture
async def s3_storage(bucket: Bucket) -> AsyncIterator[Storage]:
    async with client_of(bucket) as s3:

        async def remains(file_id: str) -> list[Any]:
            here = {"Bucket": bucket.name, "Prefix": PREFIX + file_id}
            whole = await s3.list_objects_v2(**here)
            begun = await s3.list_multipart_uploads(**here)
            return [*whole.get("Contents", ()), *begun.get("Uploads", ())]

        async with connect(bucket) as files:
            yield Storage(files, remains)
