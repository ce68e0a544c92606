"""Parley's two services, any number of each."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from parley.stack.hosts import Host
from parley.stack.parts.part import Part, Tier
from parley.stack.paths import StackPaths
from parley.stack.readiness import http_answers, http_problems


def gateway(
    paths: StackPaths, number: int, host: Host, port: int, command: Sequence[str], settings: Mapping[str, str]
) -> Part:
    """Return the gateway of this number."""
    own = {"NODE_NAME": node(number), "GATEWAY_HOST": host.address, "GATEWAY_PORT": str(port)}
    if host.namespace:
        own["NGINX_NETWORKS"] = f"{host.address}/24"
    return _service(paths, f"gateway-{number}", Tier.GATEWAYS, host, port, command, {**settings, **own})


def worker(
    paths: StackPaths, number: int, host: Host, port: int, command: Sequence[str], settings: Mapping[str, str]
) -> Part:
    """Return the persistence worker of this number."""
    own = {"WORKER_NAME": f"w{number}", "WORKER_HOST": host.address, "WORKER_PORT": str(port)}
    return _service(paths, f"worker-{number}", Tier.WORKERS, host, port, command, {**settings, **own})


def node(number: int) -> str:
    """Return the node name, which the session ids of a gateway begin with."""
    return f"g{number}"


def _service(
    paths: StackPaths,
    name: str,
    tier: Tier,
    host: Host,
    port: int,
    command: Sequence[str],
    env: Mapping[str, str],
) -> Part:
    return Part(
        name=name,
        tier=tier,
        argv=host.command(*command),
        check=(*command, "--check"),
        directory=_home(paths),
        address=host.address,
        port=port,
        ready=http_answers(port, "/readyz", host=host.address),
        problems=partial(http_problems, port, "/readyz", host.address),
        env={**env, "PYTHONUNBUFFERED": "1"},
    )


def _home(paths: StackPaths) -> Path:
    return paths.data / "services"
