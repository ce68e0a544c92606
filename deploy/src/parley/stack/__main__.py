"""The commands behind the Makefile: python -m parley.stack up | down | status | logs | scale | token | ..."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NoReturn

from parley.stack import settings, table
from parley.stack.errors import StackError
from parley.stack.stack import Stack
from parley.stack.tokens import token

ROOT = Path(__file__).resolve().parents[4]
"""The checkout; this package runs from it only."""

KEPT_BY_CLEAN = {"uv"}
"""What `make up` installed in .run and what holds no data."""


class Arguments(argparse.ArgumentParser):
    """Says in one sentence what is wrong."""

    def error(self, message: str) -> NoReturn:
        print(f"parley: {message[0].upper()}{message[1:]}.", file=sys.stderr)
        sys.exit(2)


def up(arguments: argparse.Namespace) -> None:
    if settings.write_first(arguments.root):
        _say("wrote .env with a fresh JWT_SECRET")
    stack = _stack(arguments, gateways=arguments.gateways, workers=arguments.workers)
    stack.up()
    _say("everything is ready")
    print(_WELCOME.format(url=_address(stack)))


def down(arguments: argparse.Namespace) -> None:
    _stack(arguments).down()
    _say("nothing of it is left running; the data stays in .run (make clean deletes it)")


def status(arguments: argparse.Namespace) -> None:
    rows = _stack(arguments).status()
    if not rows:
        raise StackError("The stack is not up: run `make up` first.")
    print(table.render(rows))


def logs(arguments: argparse.Namespace) -> None:
    directory = _run(arguments.root) / "log"
    files = sorted(log for log in directory.glob("*.log") if fnmatch(log.stem, arguments.part or "*"))
    if not files:
        raise StackError(f"There is no log of {arguments.part or 'anything'} in {directory}.")
    os.execvp("tail", ["tail", "-n", str(arguments.lines), "-F", *map(str, files)])


def scale(arguments: argparse.Namespace) -> None:
    if arguments.gateways is arguments.workers is None:
        raise StackError("Say how many there shall be: make scale GATEWAYS=4 WORKERS=3")
    stack = _stack(arguments)
    stack.scale(gateways=arguments.gateways, workers=arguments.workers)
    _say("everything is ready")


def print_token(arguments: argparse.Namespace) -> None:
    chosen = settings.load(arguments.root)
    if chosen.get("JWT_JWKS_URL"):
        raise StackError("Gateways trust the keys at JWT_JWKS_URL alone: tokens come from whoever has those.")
    if not chosen.get("JWT_SECRET"):
        raise StackError("There is no JWT_SECRET in .env yet: run `make up` first.")
    wanted = {"iss": chosen.get("JWT_ISSUER"), "aud": chosen.get("JWT_AUDIENCE"), "role": arguments.role}
    more = {claim: value for claim, value in wanted.items() if value}
    print(token(chosen["JWT_SECRET"], arguments.user, arguments.name or None, arguments.ttl, **more))


def url(arguments: argparse.Namespace) -> None:
    print(_address(_stack(arguments)))


def execute(arguments: argparse.Namespace) -> None:
    """Become another command, which finds the servers' urls and JWT_SECRET in its environment."""
    stack = _stack(arguments)
    if not stack.is_up():
        raise StackError("The stack is not up: run `make up` first.")
    command = arguments.command
    os.execvpe(command[0], command, {**os.environ, **stack.environment})


def clean(arguments: argparse.Namespace) -> None:
    """Delete what the stack keeps, once it is down and the user agrees."""
    run = _run(arguments.root)
    if not run.exists():
        return
    if _stack(arguments).is_up():
        raise StackError("The stack is up: run `make down` first.")
    if not arguments.yes and not _agrees(f"Delete all data, logs and ports in {run}? [y/N] "):
        raise StackError("Nothing was deleted: answer y, or say CONFIRM=yes.")
    for entry in run.iterdir():
        if entry.name not in KEPT_BY_CLEAN:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    _say("deleted")


def _agrees(question: str) -> bool:
    return sys.stdin.isatty() and input(question).strip().lower() in {"y", "yes"}


def _stack(arguments: argparse.Namespace, gateways: int | None = None, workers: int | None = None) -> Stack:
    chosen = settings.load(arguments.root)
    return Stack(
        _run(arguments.root),
        gateways=gateways,
        workers=workers,
        http_port=settings.port(chosen, "HTTP_PORT"),
        host=chosen.get("HTTP_HOST") or "127.0.0.1",
        settings=chosen,
        detached=True,
        report=_say,
    )


def _run(root: Path) -> Path:
    return root / ".run"


def _address(stack: Stack) -> str:
    return stack.url.replace("127.0.0.1", "localhost")


def _parser() -> argparse.ArgumentParser:
    parser = Arguments(prog="stack", description="Runs the whole of Parley on this machine.")
    parser.add_argument("--root", type=Path, default=ROOT, help="the directory of .env and .run")
    commands = parser.add_subparsers(required=True)
    _sized(_command(commands.add_parser("up", help="start everything"), up))
    _command(commands.add_parser("down", help="stop everything"), down)
    _command(commands.add_parser("status", help="a table of the parts"), status)
    _command(commands.add_parser("url", help="where clients go"), url)
    one = _command(commands.add_parser("logs", help="follow the logs"), logs)
    one.add_argument("part", nargs="?")
    one.add_argument("--lines", type=int, default=50)
    _sized(_command(commands.add_parser("scale", help="change the number of gateways and workers"), scale))
    one = _command(commands.add_parser("token", help="a JWT to try things with"), print_token)
    one.add_argument("user")
    one.add_argument("--name")
    one.add_argument("--ttl", default="24h")
    one.add_argument("--role")
    one = _command(commands.add_parser("clean", help="delete the stack's data"), clean)
    one.add_argument("--yes", action="store_true")
    one = _command(commands.add_parser("exec", help="run a command that finds the servers"), execute)
    one.add_argument("command", nargs=argparse.REMAINDER)
    return parser


def _command(
    parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], None]
) -> argparse.ArgumentParser:
    parser.set_defaults(run=run)
    return parser


def _sized(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateways", type=int)
    parser.add_argument("--workers", type=int)


_STARTED = time.monotonic()


def _say(line: str) -> None:
    print(f"[{time.monotonic() - _STARTED:5.1f} s] {line}", flush=True)


_WELCOME = """
Parley is at {url}

Three things to try:
  open {url}/ in a browser
  make token USER=alice
  make replay LOG=path/to/an/irc.log\
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parsed = _parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except StackError as error:
        print(f"parley: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"parley: {error.filename}: {error.strerror}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
