"""File storages for tests; S3 is a real server on a free port of this machine."""

import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiobotocore.session import get_session

from clients.chat import eventually
from parley.gateway.adapters.s3.files import Bucket
from parley.gateway.core.ports import Files
from parley.stack.ports import LOOPBACK, free_base, is_free

NAME = "parley-tests"


@dataclass
class Storage:
    """A storage under test, and the leftovers of a file in it, complete or not."""

    files: Files
    remains: Callable[[str], Awaitable[list[Any]]]


@contextmanager
def s3_server() -> Iterator[Bucket]:
    """Run an S3 server; `client_of` creates the bucket."""
    port = free_base()
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", LOOPBACK, "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Bucket(
            name=NAME,
            region="us-east-1",
            endpoint=f"http://{LOOPBACK}:{port}",
            access_key="ann",
            secret_key="a secret",
        )
    finally:
        server.terminate()
        server.wait(10)


@asynccontextmanager
async def client_of(bucket: Bucket) -> AsyncIterator[Any]:
    """Yield an independent client of a bucket's server; create the bucket if it does not exist."""
    port = int(bucket.endpoint.rpartition(":")[2])
    await eventually(lambda: not is_free(port))
    client = get_session().create_client(
        "s3",
        region_name=bucket.region,
        endpoint_url=bucket.endpoint,
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
    )
    async with client as s3:
        await s3.create_bucket(Bucket=bucket.name)
        yield s3
