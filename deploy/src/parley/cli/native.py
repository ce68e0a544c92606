"""The native stack of this checkout, if it runs. The only module of the command that knows `parley.stack`.

The images contain the command without the stack, so the stack is imported only here, and may be missing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parley.cli.errors import CommandError

if TYPE_CHECKING:
    from parley.stack import Stack


@dataclass(frozen=True, kw_only=True)
class NativeStack:
    """The environment of a running stack's services, and the addresses of its parts."""

    variables: dict[str, str]
    url: str
    gateways: tuple[str, ...]
    workers: tuple[str, ...]


def find(root: Path | None) -> NativeStack | None:
    """Return the running stack of a checkout; None if none runs, or where no stack is installed.

    Args:
        root: The directory of `.env` and `.run`; None for the checkout of this package.

    Raises:
        CommandError: The stack's settings are invalid.
    """
    try:
        from parley.stack import StackError
        from parley.stack.__main__ import ROOT
    except ImportError:
        return None
    try:
        stack = _running(root or ROOT)
    except StackError as error:
        raise CommandError(str(error)) from error
    if stack is None:
        return None
    return NativeStack(
        variables=stack.environment,
        url=stack.url,
        gateways=tuple(stack.gateway_urls),
        workers=tuple(stack.worker_urls),
    )


def _running(root: Path) -> "Stack | None":
    from parley.stack import Stack, settings

    if not (root / ".run" / "state.json").exists():
        return None
    chosen = settings.load(root)
    host = chosen.get("HTTP_HOST", "").strip("[]") or "127.0.0.1"
    port = settings.port(chosen, "HTTP_PORT") if chosen.get("HTTP_PORT") else None
    stack = Stack(root / ".run", settings=chosen, host=host, http_port=port)
    return stack if stack.is_up() else None
