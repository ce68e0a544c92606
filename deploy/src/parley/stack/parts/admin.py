"""The admin page: the command `parley admin`, at a port and so at an origin of its own."""

import sys
from collections.abc import Iterable, Mapping

from parley.stack.parts.part import Part, Tier
from parley.stack.paths import StackPaths, write
from parley.stack.readiness import http_answers

NAME = "admin"
COMMAND = (sys.executable, "-m", "parley.cli", "admin")
NEEDED = ("REDIS_URL", "RABBITMQ_URL", "MONGO_URL", "PARTITIONS", "LOG_LEVEL", "LOG_FORMAT")
"""The settings that it gets: not the secrets of tokens, which only gateways check."""


def admin(
    paths: StackPaths,
    host: str,
    port: int,
    gateways: Iterable[str],
    workers: Iterable[str],
    settings: Mapping[str, str],
) -> Part:
    """Return the server of the admin page.

    The addresses of the services are in files, which it reads again: so it follows `make scale` without a
    restart, and keeps the history that it shows.

    Args:
        paths: The stack's files.
        host: The address that it listens on.
        port: Its port.
        gateways: Addresses of the gateways.
        workers: Addresses of the workers.
        settings: The environment of the services.
    """
    needed = [*NEEDED, *(f"{name}_FILE" for name in NEEDED)]
    files = {"gateways": gateways, "workers": workers}
    for name, addresses in files.items():
        write(paths.config / f"{name}.txt", ",".join(addresses) + "\n")
    return Part(
        name=NAME,
        tier=Tier.MONITORING,
        argv=COMMAND,
        directory=paths.data / NAME,
        address=host,
        port=port,
        ready=http_answers(port, "/healthz", host=reachable(host)),
        env={
            **{name: settings[name] for name in needed if name in settings},
            "ADMIN_HOST": host,
            "ADMIN_PORT": str(port),
            **{f"PARLEY_{name.upper()}": f"@{paths.config / name}.txt" for name in files},
            "PYTHONUNBUFFERED": "1",
        },
    )


def reachable(host: str) -> str:
    """Return an address of this machine at which something answers that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
