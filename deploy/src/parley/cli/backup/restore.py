"""`parley restore`."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from parley.cli import environment
from parley.cli.backup import archive, loading, running_services
from parley.cli.backup.command import summary
from parley.cli.backup.loading import Mark
from parley.cli.backup.manifest import Manifest
from parley.cli.environment import Environment
from parley.cli.errors import CommandError
from parley.cli.faults import named
from parley.cli.output import Json, print_json, print_line, progress
from parley.cli.verify.run import Verification
from parley.shared import migrations, mongo
from parley.shared.model import now
from parley.shared.restoration import UNFINISHED
from parley.shared.settings import StartupError

SOCKET_MS = 3_600_000
"""Time for one answer of MongoDB: an index of many messages takes minutes to build."""

Source = Annotated[Path, typer.Argument(help="The file that parley backup wrote.")]
Replace = Annotated[bool, typer.Option("--replace", help="Replace what the database holds.")]


@dataclass
class Restored:
    """The result of the recount after a restore."""

    repaired: int = 0
    wrong: int = 0


def restore(context: typer.Context, source: Source, replace: Replace = False, as_json: Json = False) -> None:
    """Replace the contents of the database by a backup; all services must be stopped.

    The whole file is checked before anything is written. While it writes, and after it was interrupted,
    services refuse to start; repeat it then. At the end everything is recounted as by `verify --repair`.
    """
    env = environment.of(context)
    contents = _checked(source)
    restored = asyncio.run(_restore(env, source, contents, replace=replace))
    _show(contents, restored, as_json=as_json)
    raise typer.Exit(1 if restored.wrong else 0)


def _checked(source: Path) -> Manifest:
    if not source.is_file():
        raise CommandError(f"{source} is no file.")
    with progress() as bar:
        task = bar.add_task("checking", total=source.stat().st_size)
        return archive.check(source, lambda read: bar.advance(task, read))


async def _restore(env: Environment, source: Path, contents: Manifest, *, replace: bool) -> Restored:
    with named("MongoDB", "MONGO_URL"):
        async with mongo.connect(env.settings.mongo_url, socketTimeoutMS=SOCKET_MS) as database:
            mark = Mark(database)
            await _begin(env, database, mark, source, replace=replace)
            await loading.clear(database)
            with progress() as bar:
                task = bar.add_task("restoring", total=contents.documents)
                await loading.load(database, source, contents, lambda count: bar.advance(task, count))
            await loading.prefer_broker_partitions(database, env.settings.rabbitmq_url)
            await _build_indexes(database)
            restored = await _recount(database, contents)
            await mark.remove()
            return restored


async def _begin(env: Environment, database: Any, mark: Mark, source: Path, *, replace: bool) -> None:
    """Set the mark, unless the data or the services are in the way.

    The mark comes before the look for services: one that starts meanwhile sees the mark, or is seen.
    """
    was_set = await mark.is_set()
    if not replace and was_set:
        raise CommandError("An earlier restore did not end: give --replace to replace what it has written.")
    if not replace and (held := await loading.held(database)):
        raise CommandError(
            f"The database {database.name} holds {held:,} documents: give --replace to replace them."
        )
    await mark.set({"_id": UNFINISHED, "backup": source.name, "at": now()})
    services = await running_services.find(env.settings.mongo_url, database)
    if services:
        if not was_set:
            await mark.remove()
        raise CommandError(running_services.sentence(services))


async def _build_indexes(database: Any) -> None:
    try:
        await migrations.migrate(database)
    except StartupError as error:
        raise CommandError(str(error)) from error


async def _recount(database: Any, contents: Manifest) -> Restored:
    """Repair what the snapshot shows half done.

    It may fall between the steps of a worker's batch. RabbitMQ has delivered that batch again to the worker
    that was cut off there, but it will not to the restored data.
    """
    restored = Restored()
    with progress() as bar:
        task = bar.add_task("recounting", total=contents.by_collection.get("messages", 0))
        async for found in Verification(database, lambda count: bar.advance(task, count)).run():
            if found.repair is not None and await found.repair(database):
                restored.repaired += 1
            else:
                restored.wrong += 1
                print_line(found.text)
    return restored


def _show(contents: Manifest, restored: Restored, *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": not restored.wrong, **summary(contents), **vars(restored)})
        return
    print_line(
        f"{contents.documents:,} documents as of {contents.taken_at:%Y-%m-%d %H:%M:%S} UTC are restored: "
        f"{restored.repaired} counters, heads or references repaired, {restored.wrong} wrong. "
        "Start the workers, then the gateways."
    )
