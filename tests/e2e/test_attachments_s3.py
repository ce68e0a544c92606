"""Attachments in an S3 bucket: the system with other settings only."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from clients.chat import ChatUsers
from clients.storages import client_of, s3_server
from clients.uploads import attached, read
from parley.gateway.adapters.s3.files import PREFIX, Bucket
from parley.stack import Stack

pytestmark = pytest.mark.slow  # A stack of its own is started.


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with s3_server() as bucket:
        yield bucket


@pytest.fixture
async def users(bucket: Bucket, tmp_path: Path) -> AsyncIterator[ChatUsers]:
    """Users of a separate stack that stores its files in the bucket."""
    settings = {
        "ATTACHMENTS": "s3",
        "S3_ENDPOINT": bucket.endpoint,
        "S3_BUCKET": bucket.name,
        "S3_ACCESS_KEY": bucket.access_key,
        "S3_SECRET_KEY": bucket.secret_key,
    }
    async with client_of(bucket):
        with Stack(tmp_path, gateways=1, workers=1, settings=settings) as stack:
            users = ChatUsers(stack.url, stack.jwt_secret)
            yield users
            await users.close()


async def test_a_file_is_stored_in_the_bucket_and_read_by_members(users: ChatUsers, bucket: Bucket) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    data = b"%PDF-1.7\n" + os.urandom(12_000_000)
    file = await attached(users.url, users.user("alice"), data)

    await alice.send(group, "", type="file", attachments=[file["id"]])

    assert (await read(users.url, users.user("bob"), file["url"])).body == data
    part = await read(users.url, users.user("bob"), file["url"], Range="bytes=-1000")
    assert (part.status, part.body == data[-1000:]) == (206, True)
    assert (await read(users.url, users.user("carol"), file["url"])).status == 404
    async with client_of(bucket) as s3:
        kept = await s3.head_object(Bucket=bucket.name, Key=PREFIX + file["id"])
    assert kept["ContentLength"] == len(data)
