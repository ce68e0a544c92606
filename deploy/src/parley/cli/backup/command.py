"""`parley backup`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from parley.cli import environment
from parley.cli.backup import manifest, snapshot
from parley.cli.backup.archive import ArchiveWriter
from parley.cli.backup.manifest import COLLECTIONS, Manifest
from parley.cli.environment import Environment
from parley.cli.errors import CommandError
from parley.cli.faults import named
from parley.cli.output import Json, print_json, print_line, progress
from parley.shared import mongo
from parley.shared.documents import ATTACHMENTS, FILES

STDOUT = Path("-")
GRIDFS, S3 = "gridfs", "s3"
SOCKET_MS = 60_000
"""Time for one answer of MongoDB: it may have to read much from its disk."""

Target = Annotated[
    Path,
    typer.Argument(help="A file to write, a folder for a file named by the time, or - for the output."),
]


def backup(context: typer.Context, target: Target, as_json: Json = False) -> None:
    """Write all that MongoDB holds at one moment to a file, while the services run.

    It needs no right but the services'. Files of uploads are in it, unless ATTACHMENTS is s3.
    """
    env = environment.of(context)
    with open_target(target) as (file, path):
        contents = asyncio.run(_back_up(env, file))
    _show(contents, path, as_json=as_json)


@contextmanager
def open_target(target: Path) -> Iterator[tuple[BinaryIO, Path | None]]:
    """Open the target, and yield it with its path, which the output has not.

    A file gets its name when it is complete, and is removed on any failure.

    Raises:
        CommandError: It exists, cannot be written, or is a terminal.
    """
    if target == STDOUT:
        if sys.stdout.isatty():
            raise CommandError("A backup is no text for a terminal: redirect the output, or name a file.")
        yield sys.stdout.buffer, None
        return
    path = target / f"parley-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz" if target.is_dir() else target
    if path.exists():
        raise CommandError(f"{path} exists already: choose another name.")
    part = path.with_name(f"{path.name}.part")
    try:
        # Everything that users wrote is in it, so nobody else may read it.
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file, path
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as error:
        raise CommandError(f"{path} cannot be written ({error.strerror or error}).") from error
    finally:
        with suppress(OSError):
            part.unlink()


async def _back_up(env: Environment, file: BinaryIO) -> Manifest:
    writer = ArchiveWriter(file)
    async with _open_snapshot(env) as (database, taken):
        with progress() as bar:
            task = bar.add_task("backing up", total=await _total(database))
            for collection in COLLECTIONS:
                async for documents in taken.documents(collection):
                    bar.advance(task, await asyncio.to_thread(writer.add, collection, documents))
                await asyncio.to_thread(writer.end, collection)
        contents = Manifest(
            parley=manifest.this_version(),
            mongodb=str((await database.client.server_info())["version"]),
            database=database.name,
            taken_at=taken.cluster_time.as_datetime(),
            cluster_time=(taken.cluster_time.time, taken.cluster_time.inc),
            attachments=env.setting("ATTACHMENTS") or _storage(writer),
            parts=tuple(writer.parts),
        )
    await asyncio.to_thread(writer.close, contents)
    return contents


@asynccontextmanager
async def _open_snapshot(env: Environment) -> AsyncIterator[tuple[Any, snapshot.Snapshot]]:
    with named("MongoDB", "MONGO_URL"):
        async with (
            mongo.connect(env.settings.mongo_url, socketTimeoutMS=SOCKET_MS) as database,
            snapshot.take(database) as taken,
        ):
            yield database, taken


def _storage(writer: ArchiveWriter) -> str:
    """Return the storage of uploads where the setting is not known, as in the container of a worker."""
    collections = {part.collection for part in writer.parts}
    return S3 if ATTACHMENTS in collections and FILES not in collections else GRIDFS


async def _total(database: Any) -> int:
    counts = [await database[collection].estimated_document_count() for collection in COLLECTIONS]
    return sum(counts)


def _show(contents: Manifest, path: Path | None, *, as_json: bool) -> None:
    if path is None:
        return  # The output is the backup.
    if as_json:
        print_json({"backup": str(path), **summary(contents), "archiveBytes": path.stat().st_size})
        return
    print_line(
        f"{contents.documents:,} documents ({contents.size / 1e6:,.1f} MB) as of "
        f"{contents.taken_at:%Y-%m-%d %H:%M:%S} UTC are in {path} ({path.stat().st_size / 1e6:,.1f} MB)."
    )
    if contents.attachments != GRIDFS:
        print_line("The files of uploads are not: they lie in the bucket S3_BUCKET (deploy/BACKUP.md).")


def summary(contents: Manifest) -> dict[str, Any]:
    """Return the manifest without its parts, as JSON values."""
    return {
        "parley": contents.parley,
        "mongodb": contents.mongodb,
        "database": contents.database,
        "takenAt": contents.taken_at.isoformat(),
        "clusterTime": list(contents.cluster_time),
        "attachments": contents.attachments,
        "documents": contents.documents,
        "bytes": contents.size,
        "collections": contents.by_collection,
    }
