"""The container engine of this machine: Docker if its engine answers, else podman."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from parley.stack.errors import StackError

NO_ENGINE = (
    "There is no container engine: install podman and runc (Debian's packages of these names), "
    "or Docker Engine."
)
_SYSTEMD = Path("/run/systemd/system")
_ANSWER_TIMEOUT = 20.0
"""Seconds."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A command line that takes the subcommands of docker.

    Attributes:
        name: `docker` or `podman`.
        command: the program with its global options.
        build: the subcommand that builds, with its options.
    """

    name: str
    command: tuple[str, ...]
    build: tuple[str, ...]

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment for its commands."""
        # podman refuses to start a container with a health check where no systemd runs it periodically.
        return os.environ if _SYSTEMD.exists() else {**os.environ, "DISABLE_HC_SYSTEMD": "true"}

    def run(self, *arguments: str, timeout: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """Run a subcommand and return its outcome and output, whatever the outcome.

        Args:
            arguments: the subcommand and its arguments.
            timeout: seconds.

        Raises:
            StackError: It did not end in time.
        """
        try:
            return subprocess.run(
                [*self.command, *arguments],
                env=self.environment,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise StackError(f"`{self.name} {' '.join(arguments)}` did not end in {timeout:.0f} s.") from None

    def output(self, *arguments: str, timeout: float = 60.0) -> str:
        """Run a subcommand and return its output without surrounding blanks.

        Raises:
            StackError: It failed or did not end in time.
        """
        done = self.run(*arguments, timeout=timeout)
        if done.returncode:
            raise StackError(f"`{self.name} {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def has_image(self, name: str) -> bool:
        """Whether an image of this name is stored here."""
        return self.run("image", "inspect", name).returncode == 0


@cache
def find_engine() -> Engine:
    """Return this machine's container engine.

    Raises:
        StackError: There is none.
    """
    if shutil.which("docker") and _docker_answers():
        return Engine(name="docker", command=("docker",), build=("build",))
    if shutil.which("podman"):
        return _podman()
    raise StackError(NO_ENGINE)


def _podman() -> Engine:
    # crun, the default, refuses the control groups (v1) of older kernels; runc takes both.
    runtime = ("--runtime", "runc") if shutil.which("runc", path=f"{os.environ['PATH']}:/usr/sbin") else ()
    return Engine(
        name="podman",
        command=("podman", *runtime),
        # `chroot` also builds where nested containers are refused; only Docker's format has health checks.
        build=("build", "--isolation", "chroot", "--format", "docker"),
    )


def _docker_answers() -> bool:
    """Whether Docker's command reaches its engine; it is often installed without one."""
    try:
        probe = ["docker", "version", "--format", "{{.Server.Version}}"]
        return not subprocess.run(probe, capture_output=True, check=False, timeout=_ANSWER_TIMEOUT).returncode
    except subprocess.TimeoutExpired:
        return False
