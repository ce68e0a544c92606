"""The commands behind `python -m parley.stack` and the Makefile; each takes the parsed arguments."""

import os
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from fnmatch import fnmatch
from pathlib import Path

from parley.stack import settings, table
from parley.stack.errors import StackError
from parley.stack.stack import Stack
from parley.stack.tokens import create_token

KEPT_BY_CLEAN = {"uv"}
"""Entries of .run that `make up` installs and that hold no data."""

_NOT_RUNNING = "The stack is not running: run `make up` first."
_STARTED = time.monotonic()
_WELCOME = """
Parley is at {url}

Three things to try:
  open {url}/ in a browser
  make token USER=alice
  make replay LOG=path/to/an/irc.log\
"""


def up(arguments: Namespace) -> None:
    """Start everything and wait until it is ready; write .env before the first start."""
    if settings.create_env_file(arguments.root):
        _report("wrote .env with a fresh JWT_SECRET")
    stack = _stack(
        arguments,
        gateways=arguments.gateways,
        workers=arguments.workers,
        hosts=arguments.cluster,
        observed=arguments.observe and arguments.observe == "yes",
    )
    stack.up()
    _report("all parts are ready")
    print(_WELCOME.format(url=_client_url(stack)))
    if stack.is_observed:
        print(f"\nPrometheus is at {stack.prometheus_url}")
    if stack.admin_url:
        print(f"\nThe admin page is at {stack.admin_url} (make token USER=you ROLE=admin)")


def down(arguments: Namespace) -> None:
    """Stop everything and keep the data."""
    _stack(arguments).down()
    _report("stopped; the data stays in .run (`make clean` deletes it)")


def status(arguments: Namespace) -> None:
    """Print the table of parts."""
    rows = _stack(arguments).status()
    if not rows:
        raise StackError(_NOT_RUNNING)
    print(table.render(rows))


def logs(arguments: Namespace) -> None:
    """Replace this process with `tail -F` on the logs of one part or of all."""
    directory = _run_directory(arguments.root) / "log"
    files = sorted(log for log in directory.glob("*.log") if fnmatch(log.stem, arguments.part or "*"))
    if not files:
        raise StackError(f"There is no log of {arguments.part or 'any part'} in {directory}.")
    os.execvp("tail", ["tail", "-n", str(arguments.lines), "-F", *map(str, files)])


def scale(arguments: Namespace) -> None:
    """Change the number of gateways and workers and wait until all are ready."""
    if arguments.gateways is arguments.workers is None:
        raise StackError("Give the number of gateways or workers: make scale GATEWAYS=4 WORKERS=3")
    _stack(arguments).scale(gateways=arguments.gateways, workers=arguments.workers)
    _report("all parts are ready")


def print_token(arguments: Namespace) -> None:
    """Print a JWT that the gateways of this checkout accept."""
    chosen = settings.load(arguments.root)
    if chosen.get("JWT_JWKS_URL"):
        raise StackError("JWT_JWKS_URL is set, so only its issuer can sign tokens: get a token there.")
    secret = settings.secret(chosen)
    if not secret:
        raise StackError("There is no JWT_SECRET in .env yet: run `make up` first.")
    optional = {"iss": chosen.get("JWT_ISSUER"), "aud": chosen.get("JWT_AUDIENCE"), "role": arguments.role}
    claims = {claim: value for claim, value in optional.items() if value}
    print(create_token(secret, arguments.user, arguments.name or None, arguments.ttl, **claims))


def url(arguments: Namespace) -> None:
    """Print the URL that clients connect to."""
    print(_client_url(_stack(arguments)))


def execute(arguments: Namespace) -> None:
    """Replace this process with a command that has the servers' URLs and JWT_SECRET in its environment."""
    stack = _stack(arguments)
    if not stack.is_up():
        raise StackError(_NOT_RUNNING)
    command = arguments.command
    os.execvpe(command[0], command, {**os.environ, **stack.environment})


def rabbitmqctl(arguments: Namespace) -> None:
    """Run rabbitmqctl on the stack's RabbitMQ, or on the node of one host of a cluster."""
    stack = _stack(arguments)
    if not stack.is_up():
        raise StackError(_NOT_RUNNING)
    if not 1 <= arguments.host <= len(stack.hosts):
        raise StackError(f"There is no host {arguments.host}: the stack has {len(stack.hosts)}.")
    print(stack.rabbitmqctl(*arguments.arguments, host=arguments.host), end="")


def reload(arguments: Namespace) -> None:
    """Have the services read again the files that their settings name (SIGHUP)."""
    stack = _stack(arguments)
    if not stack.is_up():
        raise StackError(_NOT_RUNNING)
    for name in stack.services:
        stack.signal(name, signal.SIGHUP)
    _report(f"{', '.join(stack.services)} reload their settings; `make logs` shows what has changed")


def restore(arguments: Namespace) -> None:
    """Stop the services, have `parley restore` replace the data, and start the services again.

    Of a stack that is down the servers are started first: after an interrupted restore `up` cannot, for the
    services refuse to start.
    """
    stack = _stack(arguments)
    was_up = stack.is_up()
    if was_up:
        stack.stop_services()
    else:
        stack.start_servers()
    command = [
        sys.executable,
        "-m",
        "parley.cli",
        "--root",
        str(arguments.root),
        "restore",
        *arguments.options,
    ]
    try:
        done = subprocess.run(command, check=False)
    finally:
        # A restore that did not end keeps them from starting, and they say so.
        if was_up:
            stack.start_services()
        else:
            stack.up()
    if done.returncode:
        raise StackError("The restore has failed, or left something to do: see above.")
    _report("all parts are ready")


def clean(arguments: Namespace) -> None:
    """Delete the data of a stopped stack after the user has confirmed."""
    run = _run_directory(arguments.root)
    if not run.exists():
        return
    if _stack(arguments).is_up():
        raise StackError("The stack is running: run `make down` first.")
    if not arguments.yes and not _confirmed(f"Delete all data, logs and ports in {run}? [y/N] "):
        raise StackError("Nothing was deleted: answer y, or pass CONFIRM=yes.")
    for entry in run.iterdir():
        if entry.name not in KEPT_BY_CLEAN:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    _report("deleted")


def _confirmed(question: str) -> bool:
    return sys.stdin.isatty() and input(question).strip().lower() in {"y", "yes"}


def _stack(
    arguments: Namespace,
    gateways: int | None = None,
    workers: int | None = None,
    hosts: int | None = None,
    observed: bool | None = None,
) -> Stack:
    chosen = settings.load(arguments.root)
    return Stack(
        _run_directory(arguments.root),
        gateways=gateways,
        workers=workers,
        hosts=hosts,
        observed=observed,
        http_port=settings.port(chosen, "HTTP_PORT"),
        host=chosen.get("HTTP_HOST", "").strip("[]") or "127.0.0.1",
        admin_port=settings.port(chosen, "ADMIN_PORT") if chosen.get("ADMIN_PORT") else None,
        admin_host=chosen.get("ADMIN_HOST", "").strip("[]") or "127.0.0.1",
        settings=chosen,
        detached=True,
        report=_report,
    )


def _run_directory(root: Path) -> Path:
    return root / ".run"


def _client_url(stack: Stack) -> str:
    return stack.url.replace("127.0.0.1", "localhost")


def _report(line: str) -> None:
    print(f"[{time.monotonic() - _STARTED:5.1f} s] {line}", flush=True)
