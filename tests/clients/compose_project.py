"""The compose files run by podman-compose, with what this machine lacks replaced."""

import os
import shutil
import subprocess
import sysconfig
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from clients.replica_set import mongod
from parley.stack.images.bases import build
from parley.stack.images.engine import Engine
from parley.stack.images.replaced import building
from parley.stack.install import ROOT

SERVERS = Path(ROOT, "tests/images/servers")
TARGETS = ("redis", "rabbitmq", "mongo")
UP_SECONDS = 300.0
HEALTH_SECONDS = 1.0
"""Between two health checks of all containers."""
EXEC_SECONDS = 15.0
"""For a command in a container: podman's own sometimes hangs while containers start, and is asked again."""
TIMED_OUT = 124
"""The exit code of a command that took too long, as `timeout` has it."""

# podman's settings: a network backend with names for containers, a runtime for older kernels, and limits that
# a machine which may not raise its own accepts.
CONFIGURATION = """\
[network]
network_backend = "netavark"
[engine]
runtime = "runc"
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
"""


def build_servers(engine: Engine, directory: Path) -> None:
    """Build the replacements of the servers' images; `directory` becomes the context of the build."""
    # podman's cache misses a file with another time.
    for file in (mongod(), *SERVERS.glob("*.sh")):
        shutil.copy2(file, directory)
    with building(engine):
        for target in TARGETS:
            build(engine, SERVERS / "Dockerfile", directory, target, f"localhost/parley-test-{target}")


class ComposeProject:
    """Containers of compose files, from `docker compose up` to `down --volumes`.

    Args:
        name: the project's name.
        files: the compose files, in the order in which they are merged.
        settings: the variables of `.env`.
        directory: where the replaced parts are written.
    """

    def __init__(
        self, name: str, files: list[Path], settings: Mapping[str, str], engine: Engine, directory: Path
    ) -> None:
        self._name, self._engine = name, engine
        self._replaced = directory / "replaced.yml"
        self._replaced.write_text(yaml.safe_dump({"services": replacements(files, directory)}))
        configuration = directory / "containers.conf"
        configuration.write_text(CONFIGURATION)
        self._environment = {
            **os.environ,
            **settings,
            "CONTAINERS_CONF": str(configuration),
            "DISABLE_HC_SYSTEMD": "true",
        }
        program = Path(sysconfig.get_path("scripts"), "podman-compose")
        self._command = [str(program), "--project-name", name]
        for file in (*files, self._replaced):
            self._command += ["--file", str(file)]
        self._checks = threading.Thread(target=self._check_health, daemon=True)
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        # Only systemd would run podman's health checks periodically, and services wait for healthy servers.
        self._checks.start()
        try:
            self.compose("up", "--detach", "--no-build", timeout=UP_SECONDS)
        except BaseException:
            self._down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._down()

    def compose(self, *arguments: str, timeout: float = 60.0) -> str:
        """Run a subcommand of compose and return its output."""
        return self._output([*self._command, *arguments], timeout)

    def podman(self, *arguments: str, timeout: float = 60.0) -> str:
        """Run a subcommand of podman and return its output."""
        return self._output(["podman", *arguments], timeout)

    def containers(self, service: str, *, running: bool = False) -> list[str]:
        """Return the names of a service's containers, or of those that run."""
        only = ["--filter", "status=running"] if running else []
        return sorted(self._names("--filter", f"label=com.docker.compose.service={service}", *only))

    def address(self, container: str) -> str:
        """Return a container's address in its first network."""
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        return self.podman("inspect", "--format", template, container).split()[0]

    def is_healthy(self, container: str) -> bool:
        """Whether the container's health check succeeds now."""
        return self._run(["podman", "healthcheck", "run", container], EXEC_SECONDS).returncode == 0

    def logs(self) -> str:
        """Return the last lines of each running container's log."""
        running = self._names("--filter", "status=running")
        return "\n".join(f"{name}:\n{self.podman('logs', '--tail', '300', name)}" for name in running)

    def _names(self, *options: str) -> list[str]:
        label = f"label=com.docker.compose.project={self._name}"
        return self.podman("ps", "--all", "--filter", label, *options, "--format", "{{.Names}}").split()

    def _check_health(self) -> None:
        while not self._ended.wait(HEALTH_SECONDS):
            for container in self._names():
                self.is_healthy(container)

    def _down(self) -> None:
        self._ended.set()
        self._checks.join(60)
        self.compose("down", "--volumes", timeout=UP_SECONDS)

    def _output(self, command: list[str], timeout: float) -> str:
        done = self._run(command, timeout)
        assert done.returncode == 0, f"{command}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def _run(self, command: list[str], timeout: float) -> "subprocess.CompletedProcess[str]":
        try:
            return subprocess.run(
                command,
                cwd=ROOT,
                env=self._environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, TIMED_OUT, "", f"no answer within {timeout} s")


def replacements(files: list[Path], directory: Path) -> dict[str, dict[str, Any]]:
    """Return what is replaced in each service: images of servers, limits, the log driver and configs.

    podman-compose takes configs from files only, so their content is written below `directory`.
    """
    loaded = [yaml.safe_load(file.read_text()) for file in files]
    contents = {name: config["content"] for file in loaded for name, config in file["configs"].items()}
    for name, content in contents.items():
        (directory / name).write_text(content)
        (directory / name).chmod(0o644)
    found: dict[str, dict[str, Any]] = {}
    for file in loaded:
        for name, service in file["services"].items():
            replaced = found.setdefault(name, _limits())
            _replace_image(replaced, service)
            for config in service.get("configs", []):
                mount = f"{directory / config['source']}:{config['target']}:ro"
                if mount not in replaced.setdefault("volumes", []):
                    replaced["volumes"].append(mount)
    return found


def _limits() -> dict[str, Any]:
    return {"ulimits": {"nofile": 20000, "nproc": 4096}, "logging": {"driver": "k8s-file"}}


def _replace_image(replaced: dict[str, Any], service: Mapping[str, Any]) -> None:
    image = str(service.get("image", ""))
    for target in TARGETS:
        if image.startswith(f"docker.io/library/{target}:"):
            replaced["image"] = f"localhost/parley-test-{target}"
