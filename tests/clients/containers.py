"""Containers of Parley's images in the machine's network, restricted as in docker-compose.yml."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from parley.stack.images.build import image
from parley.stack.images.engine import Engine

MEMORY_BYTES = 256 * 1024 * 1024
PROCESSES = 100
RESTRICTIONS = (
    *("--read-only", "--tmpfs", "/tmp", "--init", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--memory", str(MEMORY_BYTES), "--pids-limit", str(PROCESSES)),
    # An engine that may not raise a limit past this machine's refuses to start containers with its defaults.
    *("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=1000:1000"),
)


class Containers:
    """Containers by name; all are removed at the end of the block."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._prefix = f"parley-test-{secrets.token_hex(4)}"
        self._started: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in reversed(self._started):
            self._engine.run("rm", "--force", "--volumes", self._name(name))

    def start(
        self, name: str, target: str, environment: Mapping[str, str], options: Sequence[str] = ()
    ) -> None:
        """Start a container of an image, detached.

        Args:
            name: its name in this test.
            target: `gateway`, `worker` or `nginx`.
            environment: its environment variables.
            options: further options of the engine's `run`.
        """
        given = [word for key, value in environment.items() for word in ("--env", f"{key}={value}")]
        network = ("--network", "host")
        self._started.append(name)
        self._engine.output(
            *("run", "--detach", "--name", self._name(name), *network, *RESTRICTIONS),
            *(*given, *options, image(target)),
        )

    def start_again(self, name: str) -> None:
        """Start a container that has ended."""
        self._engine.output("start", self._name(name))

    def execute(self, name: str, *command: str) -> str:
        """Run a command in a container and return its output, also if it failed."""
        done = self._engine.run("exec", self._name(name), *command)
        return done.stdout + done.stderr

    def is_healthy(self, name: str) -> bool:
        """Whether the image's health check succeeds."""
        if self._engine.name == "podman":
            # Only systemd would run it periodically.
            return self._engine.run("healthcheck", "run", self._name(name)).returncode == 0
        return self._inspect(name, "{{.State.Health.Status}}") == "healthy"

    def kill(self, name: str) -> None:
        """Kill a container (SIGKILL)."""
        self._engine.output("kill", "--signal", "KILL", self._name(name))

    def stop(self, name: str, seconds: int) -> int:
        """Stop a container by its stop signal and return its exit code; 137 if it did not end in time."""
        self._engine.output("stop", "--time", str(seconds), self._name(name))
        return self.exit_code(name)

    def exit_code(self, name: str) -> int:
        """Wait until a container has ended and return its exit code."""
        return int(self._engine.output("wait", self._name(name)))

    def log(self, name: str) -> str:
        """Return what a container has printed."""
        done = self._engine.run("logs", self._name(name))
        return done.stdout + done.stderr

    def _inspect(self, name: str, template: str) -> str:
        return self._engine.output("inspect", "--format", template, self._name(name))

    def _name(self, name: str) -> str:
        return f"{self._prefix}-{name}"


def nginx_config(template: Path, port: int, health_port: int, gateways: Mapping[str, str]) -> str:
    """Return nginx's configuration for the machine's network, where the image's ports may be in use.

    Args:
        template: the configuration in the image.
        port: where clients connect.
        health_port: where the health check connects.
        gateways: addresses by node name.
    """
    text = template.read_text()
    routes = "".join(f'"~^{node}[.]" {address}; ' for node, address in gateways.items())
    servers = "".join(f"server {address} max_fails=0; " for address in gateways.values())
    for old, new in {
        '"~^(?<node>@NODE@)\\."         $node@NODE_ADDRESS@;': routes,
        "server @GATEWAYS@ resolve max_fails=0;": servers,
        "listen 8081;": f"listen 127.0.0.1:{health_port};",
        "listen 8080 backlog=4096;": f"listen 127.0.0.1:{port};",
    }.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text
