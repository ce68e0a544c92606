"""Command line of the native stack: python -m parley.stack up | down | status | logs | scale | token | ..."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from parley.stack import commands
from parley.stack.errors import StackError
from parley.stack.install import exit_code

ROOT = Path(__file__).resolve().parents[4]
"""The checkout; this package runs from a checkout only."""


@dataclass(frozen=True)
class Command:
    """A subcommand: `options` maps a flag or positional name to the keywords of `add_argument`."""

    name: str
    help: str
    run: Callable[[argparse.Namespace], None]
    options: dict[str, dict[str, Any]]


_SIZE: dict[str, dict[str, Any]] = {"--gateways": {"type": int}, "--workers": {"type": int}}

COMMANDS = (
    Command(
        "up",
        "start everything",
        commands.up,
        {**_SIZE, "--cluster": {"type": int}, "--observe": {"choices": ("yes", "no")}},
    ),
    Command("down", "stop everything", commands.down, {}),
    Command("status", "print a table of the parts", commands.status, {}),
    Command("url", "print the URL that clients connect to", commands.url, {}),
    Command(
        "logs",
        "follow the logs",
        commands.logs,
        {"part": {"nargs": "?"}, "--lines": {"type": int, "default": 50}},
    ),
    Command("scale", "change the number of gateways and workers", commands.scale, _SIZE),
    Command(
        "token",
        "print a JWT for trying things out",
        commands.print_token,
        {"user": {}, "--name": {}, "--ttl": {"default": "24h"}, "--role": {}},
    ),
    Command(
        "rabbitmqctl",
        "run rabbitmqctl on the stack's RabbitMQ",
        commands.rabbitmqctl,
        {"--host": {"type": int, "default": 1}, "arguments": {"nargs": argparse.REMAINDER}},
    ),
    Command("reload", "have the services reload signing keys and log level", commands.reload, {}),
    Command(
        "restore",
        "replace the data by a backup while the services are stopped",
        commands.restore,
        {"options": {"nargs": argparse.REMAINDER}},
    ),
    Command("clean", "delete the stack's data", commands.clean, {"--yes": {"action": "store_true"}}),
    Command(
        "exec",
        "run a command with the servers' URLs in its environment",
        commands.execute,
        {"command": {"nargs": argparse.REMAINDER}},
    ),
)


class OneLineParser(argparse.ArgumentParser):
    """Report a usage error in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        print(f"parley: {message[0].upper()}{message[1:]}.", file=sys.stderr)
        sys.exit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the process's exit code."""
    parsed = _parser().parse_args(arguments)
    return exit_code(lambda: parsed.run(parsed), StackError)


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="stack", description="Run all of Parley on this machine.")
    parser.add_argument("--root", type=Path, default=ROOT, help="the directory of .env and .run")
    subparsers = parser.add_subparsers(required=True)
    for command in COMMANDS:
        subparser = subparsers.add_parser(command.name, help=command.help)
        subparser.set_defaults(run=command.run)
        for option, keywords in command.options.items():
            subparser.add_argument(option, **keywords)
    return parser


if __name__ == "__main__":
    sys.exit(main())
