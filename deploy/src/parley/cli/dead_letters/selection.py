"""The letters that a subcommand is about."""

from dataclasses import dataclass
from typing import Annotated

import typer

from parley.cli.dead_letters.letter import Letter
from parley.cli.errors import CommandError

Ids = Annotated[list[str] | None, typer.Argument(help="Ids of letters, or their beginnings.")]
Id = Annotated[str, typer.Argument(help="The id of a letter, or its beginning.")]
All = Annotated[bool, typer.Option("--all", help="All letters.")]
Reason = Annotated[str, typer.Option(help="Only letters whose reason contains this text.")]
Partition = Annotated[int | None, typer.Option(help="Only letters of this partition.")]
Force = Annotated[bool, typer.Option("--force", help="Read letters that were read many times already.")]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The letters that a command is about: those that all given conditions select."""

    ids: tuple[str, ...] = ()
    reason: str = ""
    partition: int | None = None

    def selects(self, letter: Letter) -> bool:
        return (
            (not self.ids or letter.id.startswith(self.ids))
            and self.reason in letter.reason
            and self.partition in (None, letter.partition)
        )


def select(ids: list[str] | None, reason: str, partition: int | None, everything: bool) -> Selection:
    """Return the selection of a command line.

    Raises:
        CommandError: It selects nothing, or all letters and some.
    """
    chosen = Selection(ids=tuple(ids or ()), reason=reason, partition=partition)
    if (chosen == Selection()) != everything:
        raise CommandError("Name letters by id, --reason or --partition, or all of them by --all alone.")
    return chosen
