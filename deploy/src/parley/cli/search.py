"""`parley search reindex`: build the search index anew, by the worker's own program."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Mapping

import typer

from parley.cli import environment
from parley.cli.errors import CommandError
from parley.cli.output import Json, print_json, print_line

app = typer.Typer(help="Look after the search index.", no_args_is_help=True)

MODULE = "parley.persistence_worker.search"
DONE = re.compile(r"search index: ([\d,]+) conversations")


@app.callback()
def search() -> None:
    """Have the group keep its name although it has one command."""


@app.command()
def reindex(context: typer.Context, as_json: Json = False) -> None:
    """Build the search index anew while the services run; searches read messages meanwhile."""
    if importlib.util.find_spec("parley.persistence_worker") is None:
        raise CommandError(
            "The worker builds the index: run `parley search reindex` in a worker's container."
        )
    conversations = _run(environment.of(context).variables, quiet=as_json)
    if as_json:
        print_json({"conversations": conversations})


def _run(variables: Mapping[str, str], *, quiet: bool) -> int:
    """Run the worker's program; pass its progress on, and return the number of conversations."""
    env = {"PATH": os.environ.get("PATH", os.defpath), **variables}
    conversations = 0
    with subprocess.Popen(
        [sys.executable, "-m", MODULE], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            found = DONE.search(line)
            conversations = int(found[1].replace(",", "")) if found else conversations
            if found and not quiet:
                print_line(line.rstrip())
        problem = process.stderr.read().strip().splitlines()
    if process.returncode:
        raise CommandError(problem[-1] if problem else "The index was not built.")
    return conversations
