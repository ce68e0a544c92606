"""Opens the file storage that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from parley.gateway.adapters.mongo.gridfs_files import GridFiles
from parley.gateway.core.ports import Files
from parley.gateway.settings import Settings, check_attachments


@asynccontextmanager
async def open_files(settings: Settings, database: Any) -> AsyncIterator[Files]:
    """Open the storage: MongoDB's, or an S3 bucket.

    Raises:
        SettingsError: The settings contradict each other, or the bucket cannot be used.
    """
    check_attachments(settings)
    if settings.attachments == "gridfs":
        yield GridFiles(database)
        return
    # Imported only when it is used: the S3 client takes about 30 MB.
    from parley.gateway.adapters.s3 import files as files_s3

    bucket = files_s3.Bucket(
        name=settings.s3_bucket,
        region=settings.s3_region,
        endpoint=settings.s3_endpoint,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
    )
    async with files_s3.connect(bucket) as files:
        yield files
