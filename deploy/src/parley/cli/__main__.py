"""`parley`: one command for the native stack, for containers and for Kubernetes."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from parley.cli import config, partitions, presence, rebalance, search, send, status, tail, tokens, top
from parley.cli.admin import command as admin
from parley.cli.backup import command as backup
from parley.cli.backup import restore
from parley.cli.dead_letters import command as dead_letters
from parley.cli.doctor import command as doctor
from parley.cli.environment import Options
from parley.cli.errors import CommandError
from parley.cli.verify import command as verify
from parley.shared import logs

USAGE = 2
"""The exit code of a wrong command line, and of a command that could not be carried out."""
INTERRUPTED = 130

app = typer.Typer(
    name="parley",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Look after Parley: the same command natively, in containers and on Kubernetes.",
)
app.add_typer(config.app, name="config")
app.add_typer(dead_letters.app, name="dead-letters")
app.command("doctor")(doctor.doctor)
app.command("verify")(verify.verify)
app.command("backup")(backup.backup)
app.command("restore")(restore.restore)
app.command("status")(status.status)
app.command("top")(top.top)
app.command("admin")(admin.admin)
app.command("tail")(tail.tail)
app.command("who")(presence.show_user)
app.command("disconnect")(presence.disconnect)
app.command("rebalance")(rebalance.rebalance)
app.command("token")(tokens.token)
app.command("send")(send.send)
app.add_typer(search.app, name="search")
app.add_typer(partitions.app, name="partitions")


@app.callback()
def options(
    context: typer.Context,
    gateways: Annotated[
        str, typer.Option(envvar="PARLEY_GATEWAYS", help="The gateways' own addresses: host:port,… or @file")
    ] = "",
    workers: Annotated[
        str, typer.Option(envvar="PARLEY_WORKERS", help="The workers' own addresses: host:port,… or @file")
    ] = "",
    root: Annotated[
        Path | None, typer.Option(help="The checkout of a native stack, with .env and .run.")
    ] = None,
) -> None:
    """Keep what stands before the subcommand."""
    context.obj = Options(root=root, gateways=gateways, workers=workers)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one subcommand, and exit: 0, 1 where it has found something wrong, 2 where it could not run."""
    logs.configure("critical", "console")
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        result = app(arguments, prog_name="parley", standalone_mode=False)
    except CommandError as error:
        return _fail(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return 0
    except Exception as error:
        message = _usage_message(error)
        if message is None:
            raise
        return _fail(message)
    return result if isinstance(result, int) else 0


def _usage_message(error: Exception) -> str | None:
    """Return the text of an error of the command line; the library's class for it is private."""
    text = getattr(error, "format_message", None)
    return str(text()) if text is not None else None


def _fail(message: str) -> int:
    print(f"parley: {message}", file=sys.stderr)
    return USAGE


if __name__ == "__main__":
    main()
