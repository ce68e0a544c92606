"""Settings from `.env`; the process's environment wins over it."""

import os
import secrets
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

from parley.stack.errors import StackError
from parley.stack.paths import write

Settings = dict[str, str]


def load(root: Path) -> Settings:
    """Return the settings of the checkout at `root`, for every name in `.env.example` and `.env`."""
    settings = {**_parse(root / ".env.example"), **_parse(root / ".env")}
    return {name: os.environ.get(name, value) for name, value in settings.items()}


def create_env_file(root: Path) -> bool:
    """Create `.env` from `.env.example` with fresh secrets; return False when it exists already."""
    file = root / ".env"
    if file.exists():
        return False
    lines = (root / ".env.example").read_text().splitlines(keepends=True)
    write(file, "".join(_with_secret(line) for line in lines))
    return True


def port(settings: Mapping[str, str], name: str) -> int:
    """Return the value of a port setting.

    Raises:
        StackError: it is not a port.
    """
    value = settings.get(name, "")
    if not value.isdecimal() or not 1 <= int(value) <= 65_535:
        raise StackError(f"{name} must be a port from 1 to 65535, not {value!r}.")
    return int(value)


def secret(settings: Mapping[str, str]) -> str:
    """Return the present secret of tokens, also one that JWT_SECRET_FILE names; empty if none is set.

    Raises:
        StackError: the file cannot be read.
    """
    path = settings.get("JWT_SECRET_FILE", "")
    if not path:
        return settings.get("JWT_SECRET", "")
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StackError(f"JWT_SECRET_FILE names a file that cannot be read: {error}.") from None


def positive(settings: Mapping[str, str], name: str, default: int) -> int:
    """Return the value of a setting that is a number above 0, or the default if it is not set.

    Raises:
        StackError: it is something else.
    """
    value = settings.get(name, "") or str(default)
    if not value.isdecimal() or int(value) == 0:
        raise StackError(f"{name} must be a whole number above 0, not {value!r}.")
    return int(value)


def networks(settings: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return the networks that a setting lists.

    Raises:
        StackError: one of them is no network.
    """
    listed = [network.strip() for network in settings.get(name, "").split(",") if network.strip()]
    try:
        return tuple(str(ip_network(network, strict=False)) for network in listed)
    except ValueError:
        value = settings[name]
        raise StackError(f"{name} must list networks as 10.0.0.0/8 or addresses, not {value!r}.") from None


def _with_secret(line: str) -> str:
    name, _, value = line.partition("=")
    secret = name.endswith(("_SECRET", "_PASSWORD")) and not value.strip()
    return f"{name}={secrets.token_urlsafe(48)}\n" if secret else line


def _parse(file: Path) -> Settings:
    if not file.exists():
        return {}
    try:
        lines = enumerate(file.read_text("utf-8-sig").splitlines(), start=1)
    except UnicodeDecodeError:
        raise StackError(f"{file.name} is not UTF-8.") from None
    return dict(
        _parse_assignment(file, number, line.strip()) for number, line in lines if _is_assignment(line)
    )


def _is_assignment(line: str) -> bool:
    return bool(line.strip()) and not line.strip().startswith("#")


def _parse_assignment(file: Path, number: int, line: str) -> tuple[str, str]:
    name, equals, value = line.removeprefix("export ").partition("=")
    if not equals or not name.strip().isidentifier():
        raise StackError(f"{file.name}, line {number}: expected NAME=value, not {line!r}.")
    return name.strip(), _unquoted(value.strip())


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value
