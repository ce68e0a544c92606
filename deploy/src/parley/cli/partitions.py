"""`parley partitions`: the partitions and their owners."""

import asyncio

import typer

from parley.cli import environment, status
from parley.cli.output import Json, print_json, print_table

app = typer.Typer(help="Look after the partitions.", no_args_is_help=True)


@app.callback()
def partitions() -> None:
    """Have the group keep its name although it has one command."""


@app.command("list")
def list_partitions(context: typer.Context, as_json: Json = False) -> None:
    """List the partitions, how much waits in each, and the workers that own them."""
    found = asyncio.run(status.broker(environment.of(context)))["partitions"]
    if as_json:
        print_json(found)
    else:
        print_table(
            ("partition", "waiting", "owner"),
            [(str(p["partition"]), p["waiting"], ", ".join(p["owners"]) or "nobody") for p in found],
        )
    raise typer.Exit(0 if all(each["owners"] for each in found) else 1)
