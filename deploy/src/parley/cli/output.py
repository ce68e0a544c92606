"""Output: tables and sentences for people, JSON for programs, progress on standard error."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

PIPE_WIDTH = 400
"""Columns where the output is no terminal: nothing is cut there."""


def console() -> Console:
    """Return the console of standard output."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print a value as one line of JSON; a time is in ISO 8601."""
    print(json.dumps(value, default=str, ensure_ascii=False), flush=True)


def print_line(text: str, style: str = "") -> None:
    """Print a line as it is: square brackets in it are no markup."""
    console().print(Text(text, style))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; a cell may be any value."""
    console().print(table(columns, rows))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table without borders."""
    drawn = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(_cell(cell)) for cell in row))
    return drawn


def progress() -> Progress:
    """Return a progress bar on standard error, which ends without a trace."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
        # Where both are one terminal, lines must appear above the bar; elsewhere they must not be redirected.
        redirect_stdout=sys.stdout.isatty(),
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
