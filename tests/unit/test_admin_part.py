"""The admin page as a part of the native stack, and the files by which it follows the number of services."""

from pathlib import Path

import pytest
import typer

from parley.cli import environment
from parley.cli.environment import Options
from parley.cli.errors import CommandError
from parley.stack.parts.admin import admin, reachable
from parley.stack.paths import StackPaths

SETTINGS = {
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "MONGO_URL_FILE": "/secrets/mongo",
    "JWT_SECRET": "a secret of tokens",
    "LOG_LEVEL": "debug",
    "RATE_LIMITS": "off",
}


def urls(options: Options) -> tuple[str, ...]:
    """Return the gateways' URLs that the command finds with these options."""
    context = typer.Context(typer.main.get_command(typer.Typer(callback=lambda: None)), obj=options)
    return environment.of(context).gateways


def test_the_part_gets_the_servers_and_not_the_secret_of_tokens(tmp_path: Path) -> None:
    paths = StackPaths(tmp_path)
    part = admin(paths, "127.0.0.1", 8082, ["127.0.0.1:4001"], ["127.0.0.1:5001"], SETTINGS)
    assert {name: value for name, value in part.env.items() if name in SETTINGS} == {
        name: SETTINGS[name] for name in ("REDIS_URL", "MONGO_URL_FILE", "LOG_LEVEL")
    }
    assert (part.env["ADMIN_HOST"], part.env["ADMIN_PORT"]) == ("127.0.0.1", "8082")
    assert (part.address, part.port) == ("127.0.0.1", 8082)


def test_more_services_change_a_file_and_not_the_part(tmp_path: Path) -> None:
    paths = StackPaths(tmp_path)
    one = admin(paths, "127.0.0.1", 8082, ["127.0.0.1:4001"], [], SETTINGS)
    options = Options(root=tmp_path, gateways=one.env["PARLEY_GATEWAYS"], workers="127.0.0.1:5001")
    assert urls(options) == ("http://127.0.0.1:4001",)
    two = admin(paths, "127.0.0.1", 8082, ["127.0.0.1:4001", "127.0.0.1:4002"], [], SETTINGS)
    assert (two.env, two.argv) == (one.env, one.argv)
    assert urls(options) == ("http://127.0.0.1:4001", "http://127.0.0.1:4002")


def test_a_file_of_addresses_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"^/nowhere/gateways cannot be read: .*No such file"):
        urls(Options(root=tmp_path, gateways="@/nowhere/gateways"))


@pytest.mark.parametrize(("host", "own"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1")])
def test_the_page_is_asked_at_an_address_of_this_machine(host: str, own: str) -> None:
    assert reachable(host) == own
