"""Files in a bucket of Amazon S3, or of a compatible server."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from parley.gateway.adapters.mongo.uninterrupted import uninterrupted
from parley.gateway.adapters.pieces import pieces
from parley.gateway.core.errors import NotFound, Unavailable
from parley.gateway.services.attachments import NO_ATTACHMENT
from parley.shared.settings import SettingsError

log = structlog.get_logger()

PART_BYTES = 5 * 1024 * 1024
"""The minimum of S3 for each part but the last."""
CONCURRENT_UPLOADS = 4
"""Parts in flight; the client holds several copies of each in memory."""
READ_BYTES = 64 * 1024
PREFIX = "attachments/"
MISSING = {"NoSuchKey", "NoSuchUpload", "404", "NotFound"}
MISCONFIGURED = {
    "400": "the bucket is in another region, or the request is malformed",
    "301": "the bucket is in another region",
    "403": "access is denied",
    "404": "there is no such bucket",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket: of Amazon without an `endpoint`; with the machine's own role without keys."""

    name: str
    region: str
    endpoint: str = ""
    access_key: str = ""
    secret_key: str = ""


@asynccontextmanager
async def connect(bucket: Bucket) -> AsyncIterator["S3Files"]:
    """Open a bucket, also while its server is away.

    Raises:
        SettingsError: The server denies access to the bucket, or does not know it.
    """
    config = AioConfig(
        connect_timeout=2,
        read_timeout=10,
        max_pool_connections=100,
        retries={"mode": "standard", "total_max_attempts": 2},
        # Compatible servers address buckets by path, and not all support the newer checksums.
        s3={"addressing_style": "path" if bucket.endpoint else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = get_session().create_client(
        "s3",
        region_name=bucket.region,
        endpoint_url=bucket.endpoint or None,
        aws_access_key_id=bucket.access_key or None,
        aws_secret_access_key=bucket.secret_key or None,
        config=config,
    )
    async with AsyncExitStack() as stack:
        try:
            s3 = await stack.enter_async_context(client)
        except ValueError as error:
            raise SettingsError(f"S3_ENDPOINT or S3_REGION is invalid: {error}.") from None
        await _check(s3, bucket.name)
        yield S3Files(s3, bucket.name)


class S3Files:
    """`Files`."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._uploads = asyncio.Semaphore(CONCURRENT_UPLOADS)

    async def write(self, file_id: str, chunks: AsyncIterator[bytes]) -> int:
        try:
            return await self._write(file_id, pieces(chunks, PART_BYTES))
        except BaseException:
            with suppress(Unavailable):
                await asyncio.shield(self.delete(file_id))
            raise

    async def _write(self, file_id: str, parts: AsyncIterator[bytes]) -> int:
        length = 0
        target: dict[str, Any] = {}
        done: list[dict[str, Any]] = []
        async for part in parts:
            length += len(part)
            if length < PART_BYTES:
                await self._send(self._client.put_object, **self._object(file_id), Body=part)
                return length
            target = target or await self._begin(file_id)
            number = len(done) + 1
            answer = await self._send(self._client.upload_part, **target, PartNumber=number, Body=part)
            done.append({"PartNumber": number, "ETag": answer["ETag"]})
            # Release the memory before the next part is gathered.
            del part
        await self._send(self._client.complete_multipart_upload, **target, MultipartUpload={"Parts": done})
        return length

    async def _begin(self, file_id: str) -> dict[str, Any]:
        target = self._object(file_id)
        begun = await self._send(self._client.create_multipart_upload, **target)
        return {**target, "UploadId": begun["UploadId"]}

    async def _send(self, call: Callable[..., Any], **arguments: Any) -> Any:
        with translate_errors():
            async with self._uploads:
                return await uninterrupted(call(**arguments))

    async def read(self, file_id: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        missing = stop - start
        with translate_errors():
            answer = await self._client.get_object(**self._object(file_id), Range=f"bytes={start}-{stop - 1}")
            async with answer["Body"] as body:
                async for chunk in body.iter_chunks(READ_BYTES):
                    missing -= len(chunk)
                    yield chunk
        if missing:
            raise Unavailable("A part of the file is missing. Upload it again.")

    async def delete(self, file_id: str) -> None:
        with translate_errors():
            await self._client.delete_object(**self._object(file_id))
            begun = await self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=PREFIX + file_id)
        for upload in begun.get("Uploads", ()):
            # Another gateway may have aborted it.
            with suppress(NotFound), translate_errors():
                await self._client.abort_multipart_upload(
                    **self._object(file_id), UploadId=upload["UploadId"]
                )

    def _object(self, file_id: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": PREFIX + file_id}


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise `Unavailable` for an outage, and `NotFound` for a missing file."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in MISSING:
            raise NotFound(NO_ATTACHMENT) from error
        raise _unavailable(error) from error
    except (BotoCoreError, HttpError, TimeoutError) as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> Unavailable:
    log.warning("gateway.s3.failed", error=str(error)[:200])
    return Unavailable("The file storage is unavailable. Retry later.")


async def _check(client: Any, bucket: str) -> None:
    try:
        await client.head_bucket(Bucket=bucket)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code"))
        if code in MISCONFIGURED:
            raise SettingsError(f"S3_BUCKET {bucket!r} cannot be used: {MISCONFIGURED[code]}.") from None
        log.warning("gateway.s3.check_failed", error=str(error)[:200])
    except ParamValidationError:
        raise SettingsError(f"S3_BUCKET {bucket!r} is not a valid bucket name.") from None
    except (BotoCoreError, HttpError, TimeoutError) as error:
        log.warning("gateway.s3.check_failed", error=str(error)[:200])
