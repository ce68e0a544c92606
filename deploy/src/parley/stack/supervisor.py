"""Client of supervisord over its control socket."""

import http.client
import os
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley.stack.errors import StackError
from parley.stack.processes import MARK, is_alive

STOPPED_STATES = {"STOPPED", "EXITED", "FATAL", "UNKNOWN"}
STOP_TIMEOUT = 30.0
"""Seconds; more than the stopwaitsecs after which supervisor kills."""

_INHERITED = {"PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "HOME", "USER", "SSL_CERT_FILE", "SSL_CERT_DIR"}
_NOT_RUNNING, _ALREADY_STARTED = 70, 60


@dataclass(frozen=True, kw_only=True)
class Process:
    """Supervisor's view of a program; `pid` is 0 when it does not run, `uptime` is in seconds."""

    name: str
    state: str
    pid: int
    uptime: int


class Supervisor:
    """One supervisord, reached by its control socket."""

    def __init__(self, root: Path, control: Path) -> None:
        self._root = root
        self._control = control

    def launch(self, config: Path) -> None:
        """Start supervisord as a daemon; return when it listens."""
        command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(config)]
        started = subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, check=False
        )
        if started.returncode:
            raise StackError(f"supervisord did not start: {(started.stderr or started.stdout).strip()}")

    def run_check(self, command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> str:
        """Run a command in a program's environment to its end; return its stderr if it fails, else ""."""
        env = {**self._environment(), **environment}
        done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, check=False)
        return done.stderr.strip() if done.returncode else ""

    def is_running(self) -> bool:
        try:
            self._call("getState")
        except StackError:
            return False
        return True

    def processes(self) -> dict[str, Process]:
        return {info["name"]: _process(info) for info in self._call("getAllProcessInfo")}

    def start(self, name: str) -> None:
        self._call("startProcess", name, False, ignore_fault=_ALREADY_STARTED)

    def stop(self, names: Collection[str]) -> None:
        """Send SIGTERM to all at once, and wait until the last one has ended."""
        names = set(names) & set(self.processes())
        for name in names:
            self.ask_to_stop(name)
        deadline = time.monotonic() + STOP_TIMEOUT
        while running := {name for name in names if self.processes()[name].state not in STOPPED_STATES}:
            if time.monotonic() > deadline:
                raise StackError(f"{', '.join(sorted(running))} did not stop within {STOP_TIMEOUT:.0f} s.")
            time.sleep(0.05)

    def ask_to_stop(self, name: str) -> None:
        """Send a program SIGTERM and do not restart it; return without waiting."""
        self._call("stopProcess", name, False, ignore_fault=_NOT_RUNNING)

    def signal(self, name: str, number: int) -> None:
        self._call("signalProcess", name, str(int(number)))

    def reread(self) -> tuple[list[str], list[str], list[str]]:
        """Reread the configuration; return the names of added, changed and removed programs."""
        ((added, changed, removed),) = self._call("reloadConfig")
        return added, changed, removed

    def add(self, names: Iterable[str]) -> None:
        for name in names:
            self._call("addProcessGroup", name)

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            self._call("removeProcessGroup", name)

    def shut_down(self) -> None:
        """Shut supervisord down and wait until its process has ended."""
        pid = self._call("getPID")
        self._call("shutdown")
        deadline = time.monotonic() + STOP_TIMEOUT
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _environment(self) -> dict[str, str]:
        """Inherit few variables, since those exported for another broker must not configure this one."""
        inherited = {name: value for name, value in os.environ.items() if name in _INHERITED}
        return inherited | {MARK: str(self._root)}

    def _call(self, method: str, *arguments: Any, ignore_fault: int | None = None) -> Any:
        request = xmlrpc.client.dumps(arguments, f"supervisor.{method}")
        try:
            return xmlrpc.client.loads(_post(self._control, request))[0][0]
        except OSError:
            raise StackError(f"supervisord does not answer on {self._control}.") from None
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == ignore_fault:
                return None
            raise StackError(f"supervisord refused {method}{arguments}: {fault.faultString}.") from None


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30.0)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _post(control: Path, request: str) -> bytes:
    connection = _UnixConnection(control)
    try:
        connection.request("POST", "/RPC2", request.encode(), {"Content-Type": "text/xml"})
        return connection.getresponse().read()
    finally:
        connection.close()


def _process(info: dict[str, Any]) -> Process:
    running = info["pid"] != 0
    return Process(
        name=info["name"],
        state=info["statename"],
        pid=info["pid"],
        uptime=info["now"] - info["start"] if running else 0,
    )
