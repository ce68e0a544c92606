"""Fixtures of several contract tests: both file storages, each on a real server, and a Redis Cluster."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import pytest

from clients.redis_cluster import RedisCluster
from clients.storages import Storage, client_of, s3_server
from parley.gateway.adapters.mongo.gridfs_files import GridFiles
from parley.gateway.adapters.mongo.shared_reads import SharedReads
from parley.gateway.adapters.s3.files import PREFIX, Bucket, connect
from parley.gateway.background import Background
from parley.shared.documents import FILE_CHUNKS, FILES
from parley.shared.migrations import migrate


@pytest.fixture
async def redis_servers(redis_cluster: RedisCluster) -> AsyncIterator[RedisCluster]:
    """A Redis Cluster, which is repaired before and after the test."""
    await asyncio.to_thread(redis_cluster.repair)
    yield redis_cluster
    await asyncio.to_thread(redis_cluster.repair)


@pytest.fixture
def reads(database: Any) -> Iterator[SharedReads]:
    """The connection by which a gateway reads what each client needs."""
    with closing(SharedReads(database, Background().spawn)) as reads:
        yield reads


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
