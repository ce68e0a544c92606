"""The servers and services that the command works on: found as the services find theirs.

The process's environment comes first, then the native stack of this checkout if it runs, then `.env`.
"""

import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import typer
from dotenv import dotenv_values

from parley.cli import native
from parley.cli.errors import CommandError
from parley.shared.settings import SettingsError, SharedSettings, load

GATEWAYS, WORKERS = ("gateway:8001",), ("worker:9001",)
"""The names of the services in docker-compose.yml."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options before the name of a subcommand."""

    root: Path | None = None
    gateways: str = ""
    workers: str = ""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The settings of the services, and the addresses of the gateways and workers."""

    variables: Mapping[str, str]
    gateways: tuple[str, ...]
    workers: tuple[str, ...]
    url: str = ""
    """The URL for clients."""
    is_native: bool = field(default=False)

    @cached_property
    def settings(self) -> SharedSettings:
        """The settings that both services have.

        Raises:
            CommandError: One of them is invalid.
        """
        try:
            return load(SharedSettings, self.variables)
        except SettingsError as error:
            raise CommandError(str(error)) from error

    def setting(self, name: str) -> str:
        """Return a setting of one service, or an empty text; `NAME_FILE` may name its file."""
        path = self.variables.get(f"{name}_FILE", "").strip()
        if not path:
            return self.variables.get(name, "").strip()
        try:
            return Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{name}_FILE names a file that cannot be read: {error}") from None


def of(context: typer.Context) -> Environment:
    """Return the environment that a subcommand works on.

    Raises:
        CommandError: A setting is invalid.
    """
    options: Options = context.find_root().obj or Options()
    stack = native.find(options.root)
    dotenv = {name: value or "" for name, value in dotenv_values().items()}
    variables = _layered(dotenv, stack.variables if stack else {}, os.environ)
    gateways = _addresses(options.gateways) or (stack.gateways if stack else _resolved(GATEWAYS))
    workers = _addresses(options.workers) or (stack.workers if stack else _resolved(WORKERS))
    url = stack.url if stack else next(iter(gateways), "")
    return Environment(
        variables=variables, gateways=gateways, workers=workers, url=url, is_native=stack is not None
    )


def _layered(*layers: Mapping[str, str]) -> dict[str, str]:
    """Merge layers, the last of which wins; a `NAME_FILE` replaces the `NAME` of an earlier layer."""
    merged: dict[str, str] = {}
    for layer in layers:
        given = {name: value for name, value in layer.items() if value.strip()}
        for name in given:
            merged.pop(f"{name}_FILE", None)
            merged.pop(name.removesuffix("_FILE"), None)
        merged |= given
    return merged


def _addresses(text: str) -> tuple[str, ...]:
    """Return the URLs of a list of addresses; each address of a host's name is one.

    Raises:
        CommandError: An address is malformed, or a file that `@` names cannot be read.
    """
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{text[1:]} cannot be read: {error}") from None
    return _resolved(each.strip() for each in text.split(",") if each.strip())


def _resolved(addresses: Iterable[str]) -> tuple[str, ...]:
    """Return the URLs of addresses. A name may be that of several replicas; one that is unknown is none."""
    found: list[str] = []
    for address in addresses:
        url = urlsplit(address if "://" in address else f"http://{address}")
        try:
            found += [f"{url.scheme}://{_host(ip)}:{url.port or 80}" for ip in _ips(url.hostname or "")]
        except ValueError:
            raise CommandError(f"{address!r} is no address: write host:port.") from None
    return tuple(dict.fromkeys(found))


def _ips(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(entry[4][0]) for entry in found})


def _host(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip
