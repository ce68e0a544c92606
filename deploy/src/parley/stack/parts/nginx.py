"""nginx in front of the gateways: its configuration, and a reload that drops no connection."""

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from parley.stack import processes
from parley.stack.errors import StackError
from parley.stack.limits import open_files
from parley.stack.parts.part import Part, Tier, program
from parley.stack.paths import StackPaths, quoted, write
from parley.stack.ports import LOOPBACK, LOOPBACK_6, joined
from parley.stack.readiness import http_answers

UNLIMITED = 65_535
"""The largest limit of connections that nginx takes, more than it can serve."""


@dataclass(frozen=True, kw_only=True)
class Edge:
    """The address that nginx listens on, and the gateways that it routes to.

    Args:
        host: the address to listen on.
        port: the port to listen on.
        accepting: addresses by node name of the gateways that get new clients.
        routable: addresses by node name of all gateways that keep their present clients.
        trusted_proxies: networks of the proxies in front of nginx.
        most_connections: connections of one address that nginx serves at once.
    """

    host: str
    port: int
    accepting: Mapping[str, str]
    routable: Mapping[str, str]
    trusted_proxies: tuple[str, ...] = ()
    most_connections: int = UNLIMITED

    @property
    def address(self) -> str:
        """The address by which this machine reaches nginx."""
        return {"0.0.0.0": LOOPBACK, "::": LOOPBACK_6}.get(self.host, self.host)


def nginx(paths: StackPaths, edge: Edge) -> Part:
    """Return the nginx of this edge."""
    return Part(
        name="nginx",
        tier=Tier.EDGE,
        argv=_command(paths),
        directory=_directory(paths),
        address=edge.address,
        port=edge.port,
        ready=http_answers(edge.port, "/healthz", 404, edge.address),
    )


def configure(paths: StackPaths, edge: Edge) -> bool:
    """Write the configuration; return whether it changed."""
    return write(_config(paths), _render(paths, edge))


def has_address(paths: StackPaths, edge: Edge) -> bool:
    """Whether nginx's present configuration listens on this address already."""
    return _config(paths).exists() and f"listen {joined(edge.host, edge.port)} " in _config(paths).read_text()


def check(paths: StackPaths) -> None:
    """Have nginx check its configuration, since a failed reload is only visible in its log.

    Raises:
        StackError: nginx refuses the configuration.
    """
    test = subprocess.run([*_command(paths), "-q", "-t"], capture_output=True, text=True, check=False)
    if test.returncode:
        raise StackError(f"nginx refused its configuration: {test.stderr.strip()}")


def workers(master: int) -> set[int]:
    """Return the pids of the worker processes that accept connections."""
    return {pid for pid in processes.children_of(master) if not _is_shutting_down(pid)}


def wait_for_new_workers(master: int, old: set[int], deadline: float) -> None:
    """Wait until no old worker accepts connections and a new one does; `deadline` is monotonic time.

    Raises:
        StackError: the deadline has passed.
    """
    while (current := workers(master)) & old or not current:
        if time.monotonic() > deadline:
            raise StackError("nginx did not apply its new configuration in time: see `make logs PART=nginx`.")
        time.sleep(0.02)


def _is_shutting_down(pid: int) -> bool:
    return not processes.is_alive(pid) or "shutting down" in processes.title(pid)


def _command(paths: StackPaths) -> tuple[str, ...]:
    # `-e` sets the log for messages from before nginx has read its configuration.
    return (program("nginx"), "-p", str(_directory(paths)), "-e", "stderr", "-c", str(_config(paths)))


def _render(paths: StackPaths, edge: Edge) -> str:
    text = files("parley.stack").joinpath("templates/nginx.conf").read_text()
    for name, value in _values(paths, edge).items():
        text = text.replace(f"@{name}@", value)
    return text


def _values(paths: StackPaths, edge: Edge) -> dict[str, str]:
    return {
        # The workers must reach files below a directory that only this user can enter.
        "USER": "user root;\n" if os.geteuid() == 0 else "",
        "DIRECTORY": _escaped(_directory(paths)),
        "LOG": _escaped(paths.log("nginx-access")),
        "FILES": str(open_files()),
        "CONNECTIONS": str(open_files() * 19 // 20),
        "TRUSTED": "".join(f"    set_real_ip_from {network};\n" for network in edge.trusted_proxies),
        "TRUSTED_NETWORKS": "".join(f"        {network} 1;\n" for network in edge.trusted_proxies),
        "MOST_CONNECTIONS": str(min(edge.most_connections, UNLIMITED)),
        "ADDRESS": joined(edge.host, edge.port),
        "ROUTES": "".join(f"        ~^{node}\\.  parley_{node};\n" for node in edge.routable),
        "ACCEPTING": "".join(_server(address) for address in edge.accepting.values()),
        "UPSTREAMS": "".join(_upstream(node, address) for node, address in edge.routable.items()),
    }


def _upstream(node: str, address: str) -> str:
    return f"    upstream parley_{node} {{\n{_server(address)}    }}\n"


def _server(address: str) -> str:
    # A dead gateway refuses connections at once, so nginx tries the next one. Without max_fails=0 it would
    # also avoid a gateway for a while after its restart.
    return f"        server {address} max_fails=0;\n"


def _directory(paths: StackPaths) -> Path:
    return paths.data / "nginx"


def _config(paths: StackPaths) -> Path:
    return paths.config / "nginx.conf"


def _escaped(path: Path) -> str:
    return quoted(path)[1:-1]
