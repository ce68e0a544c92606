"""The subcommands of `parley dead-letters`."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from parley.cli import environment, layout
from parley.cli.dead_letters.letter import Letter
from parley.cli.dead_letters.printing import print_details, print_json_row, print_row
from parley.cli.dead_letters.queue import DeadLetters, open_letters
from parley.cli.dead_letters.replay import Replayer
from parley.cli.dead_letters.selection import All, Force, Id, Ids, Partition, Reason, Selection, select
from parley.cli.environment import Environment
from parley.cli.errors import CommandError
from parley.cli.output import Json, Yes, print_json, print_line, progress

app = typer.Typer(help="Look after the records that could not be stored.", no_args_is_help=True)

Content = Annotated[bool, typer.Option("--content", help="Show what users wrote.")]


@app.command("list")
def list_letters(
    context: typer.Context,
    reason: Reason = "",
    partition: Partition = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """List the letters, the oldest first; with --json one object a line."""
    chosen = Selection(reason=reason, partition=partition)
    shown = asyncio.run(
        _list(environment.of(context), chosen, force, print_json_row if as_json else print_row)
    )
    if not as_json:
        print_line(f"{shown:,} dead letter(s).")


@app.command()
def show(
    context: typer.Context, id: Id, content: Content = False, force: Force = False, as_json: Json = False
) -> None:
    """Show a letter with its records; contents of users are hidden without --content."""
    found = asyncio.run(_find(environment.of(context), Selection(ids=(id,)), force))
    if not found:
        raise CommandError(f"There is no dead letter {id}: see `parley dead-letters list`.")
    for letter in found:
        details = letter.details(content=content)
        print_json(details) if as_json else print_details(details)


@app.command()
def replay(
    context: typer.Context,
    ids: Ids = None,
    reason: Reason = "",
    partition: Partition = None,
    everything: All = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Put records back to their partitions, and remove each letter once the broker has confirmed that.

    A record that still cannot be stored becomes a dead letter again, behind the others.
    """
    env = environment.of(context)
    chosen = select(ids, reason, partition, everything)
    replayed, kept = asyncio.run(_replay(env, chosen, force))
    if as_json:
        print_json({"replayed": replayed, "kept": kept})
    else:
        print_line(f"{replayed:,} letter(s) replayed.")
        for id in kept:
            print_line(f"{id} is kept: the partition of its record is unknown; drop it, or set PARTITIONS.")
    raise typer.Exit(1 if kept else _none_selected(replayed, chosen))


@app.command()
def drop(
    context: typer.Context,
    ids: Ids = None,
    reason: Reason = "",
    partition: Partition = None,
    everything: All = False,
    yes: Yes = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Remove letters for good, after confirmation; their records are lost."""
    env = environment.of(context)
    chosen = select(ids, reason, partition, everything)
    _confirm(yes)
    dropped = asyncio.run(_drop(env, chosen, force))
    print_json({"dropped": dropped}) if as_json else print_line(f"{dropped:,} letter(s) dropped.")
    raise typer.Exit(_none_selected(dropped, chosen))


def _none_selected(count: int, chosen: Selection) -> int:
    if count or chosen == Selection():
        return 0
    print("parley: No letter is selected: see `parley dead-letters list`.", file=sys.stderr)
    return 1


def _confirm(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError("Nothing was dropped: confirm it by --yes.")
    typer.confirm("Drop these letters for good?", abort=True)


async def _list(env: Environment, chosen: Selection, force: bool, show: Callable[[Letter], None]) -> int:
    shown = 0
    async with open_letters(env.settings.rabbitmq_url, force=force) as letters:
        async for letter in letters:
            if chosen.selects(letter):
                shown += 1
                show(letter)
    return shown


async def _find(env: Environment, chosen: Selection, force: bool) -> list[Letter]:
    found: dict[str, Letter] = {}
    async with _reading(env, force, "reading") as (letters, advance):
        async for letter in letters:
            advance()
            if chosen.selects(letter):
                found.setdefault(letter.id, letter)
    return list(found.values())


async def _replay(env: Environment, chosen: Selection, force: bool) -> tuple[int, list[str]]:
    replayed, kept = 0, []
    async with (
        Replayer(env.settings.rabbitmq_url, await layout.writable(env)) as replayer,
        _reading(env, force, "replaying") as (letters, advance),
    ):
        async for letter in letters:
            advance()
            if not chosen.selects(letter):
                continue
            if await replayer.replay(letter):
                await letters.remove(letter)
                replayed += 1
            else:
                kept.append(letter.id)
    return replayed, kept


async def _drop(env: Environment, chosen: Selection, force: bool) -> int:
    dropped = 0
    async with _reading(env, force, "reading") as (letters, advance):
        async for letter in letters:
            advance()
            if chosen.selects(letter):
                await letters.remove(letter)
                dropped += 1
    return dropped


@asynccontextmanager
async def _reading(
    env: Environment, force: bool, title: str
) -> AsyncIterator[tuple[DeadLetters, Callable[[], None]]]:
    """Open the letters with a progress bar; call what is yielded for each letter."""
    async with open_letters(env.settings.rabbitmq_url, force=force) as letters:
        with progress() as bar:
            task = bar.add_task(title, total=letters.count)
            yield letters, lambda: bar.advance(task)
