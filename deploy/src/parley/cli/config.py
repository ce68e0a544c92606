"""`parley config`: check the settings of the services, without a server."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import typer

from parley.cli import environment
from parley.cli.errors import CommandError
from parley.cli.output import Json, print_json, print_line

app = typer.Typer(help="Check the settings.", no_args_is_help=True)

SERVICES = {"gateway": "parley.gateway", "worker": "parley.persistence_worker"}
SECONDS = 30.0


@app.callback()
def config() -> None:
    """Have the group keep its name although it has one command."""


@app.command()
def check(context: typer.Context, as_json: Json = False) -> None:
    """Check the settings of both services as they do at their start; no server is asked (see doctor).

    An image contains one service, and only that one's settings are checked there.
    """
    variables = environment.of(context).variables
    found = [_check(service, module, variables) for service, module in SERVICES.items()]
    checked = [result for result in found if result is not None]
    if not checked:
        raise CommandError("No service is installed here: run it in the image of a gateway or a worker.")
    if as_json:
        print_json({"ok": all(each["ok"] for each in checked), "services": checked})
    else:
        for each in checked:
            print_line(f"{each['service']}: {'the settings are valid.' if each['ok'] else each['problem']}")
    raise typer.Exit(0 if all(each["ok"] for each in checked) else 1)


def _check(service: str, module: str, variables: Mapping[str, str]) -> dict[str, Any] | None:
    """Run a service's own check; return None if it is not installed.

    It is run, not imported, so that the command depends on no service.
    """
    if importlib.util.find_spec(module) is None:
        return None
    done = subprocess.run(
        [sys.executable, "-m", module, "--check"],
        env={"PATH": os.environ.get("PATH", os.defpath), **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    lines = done.stderr.strip().splitlines()
    problem = lines[-1] if done.returncode and lines else None
    return {"service": service, "ok": done.returncode == 0, "problem": problem}
