"""nginx in front of the gateways: its configuration, and a reload that drops no socket."""

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
from parley.stack.paths import StackPaths, write
from parley.stack.ports import LOOPBACK
from parley.stack.readiness import http_answers


@dataclass(frozen=True, kw_only=True)
class Edge:
    """What nginx shall do: listen there, send new clients to `accepting`, known ones to `routable` too.

    Both map a gateway's name to its port on 127.0.0.1.
    """

    host: str
    port: int
    accepting: Mapping[str, int]
    routable: Mapping[str, int]

    @property
    def address(self) -> str:
        """Where this machine reaches it."""
        return LOOPBACK if self.host == "0.0.0.0" else self.host


def nginx(place: StackPaths, edge: Edge) -> Part:
    return Part(
        name="nginx",
        tier=Tier.EDGE,
        argv=_command(place),
        directory=_directory(place),
        port=edge.port,
        ready=http_answers(edge.port, "/healthz", 404, edge.address),
    )


def configure(place: StackPaths, edge: Edge) -> bool:
    """Write the configuration; tell whether it is another than before."""
    return write(_config(place), _render(place, edge))


def has_port(place: StackPaths, edge: Edge) -> bool:
    """Whether the configuration that nginx runs with has this address already."""
    return _config(place).exists() and f"listen {edge.host}:{edge.port} " in _config(place).read_text()


def check(place: StackPaths) -> None:
    """Let nginx read its configuration, so that a reload cannot fail behind our back."""
    test = subprocess.run([*_command(place), "-q", "-t"], capture_output=True, text=True, check=False)
    if test.returncode:
        raise StackError(f"nginx refuses its configuration: {test.stderr.strip()}")


def workers(master: int) -> set[int]:
    """The worker processes that accept connections."""
    return {pid for pid in processes.children_of(master) if not _is_leaving(pid)}


def wait_for_new_workers(master: int, old: set[int], deadline: float) -> None:
    """Until those that knew the old configuration accept nothing any more, and others do.

    `deadline` is a time of the monotonic clock.
    """
    while (now := workers(master)) & old or not now:
        if time.monotonic() > deadline:
            raise StackError("nginx did not take its new configuration in time: see `make logs PART=nginx`.")
        time.sleep(0.02)


def _is_leaving(pid: int) -> bool:
    return not processes.is_alive(pid) or "shutting down" in processes.title(pid)


def _command(place: StackPaths) -> tuple[str, ...]:
    # The log is named here as well, for what nginx says before it has read its configuration.
    return (program("nginx"), "-p", str(_directory(place)), "-e", "stderr", "-c", str(_config(place)))


def _render(place: StackPaths, edge: Edge) -> str:
    text = files("parley.stack").joinpath("templates/nginx.conf").read_text()
    for name, value in _values(place, edge).items():
        text = text.replace(f"@{name}@", value)
    return text


def _values(place: StackPaths, edge: Edge) -> dict[str, str]:
    return {
        # Its workers must reach below a directory that only this user can enter.
        "USER": "user root;\n" if os.geteuid() == 0 else "",
        "DIRECTORY": _within_quotes(_directory(place)),
        "LOG": _within_quotes(place.log("nginx-access")),
        "FILES": str(open_files()),
        "CONNECTIONS": str(open_files() * 19 // 20),
        "HOST": edge.host,
        "PORT": str(edge.port),
        "ROUTES": "".join(f"        ~^{node}\\.  parley_{node};\n" for node in edge.routable),
        "ACCEPTING": "".join(_server(port) for port in edge.accepting.values()),
        "UPSTREAMS": "".join(_upstream(node, port) for node, port in edge.routable.items()),
    }


def _upstream(node: str, port: int) -> str:
    return f"    upstream parley_{node} {{\n{_server(port)}    }}\n"


def _server(port: int) -> str:
    # A dead gateway refuses at once, so it need not be avoided; one that is back is used at once.
    return f"        server {LOOPBACK}:{port} max_fails=0;\n"


def _directory(place: StackPaths) -> Path:
    return place.data / "nginx"


def _config(place: StackPaths) -> Path:
    return place.config / "nginx.conf"


def _within_quotes(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')
