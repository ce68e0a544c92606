"""A whole Parley on this machine: its servers, its services, and nginx before them."""

import fcntl
import os
import signal as signals
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from parley.stack import processes, programs
from parley.stack.errors import StackError
from parley.stack.parts import nginx
from parley.stack.parts.owner_watch import NAME as WATCH
from parley.stack.parts.part import Part
from parley.stack.parts.rabbitmq import rabbitmqctl
from parley.stack.paths import StackPaths
from parley.stack.plan import SERVICES, Commands, Plan
from parley.stack.ports import LOOPBACK, Ports, require_free
from parley.stack.reconciliation import Reconciliation, Report, stop_in_order
from parley.stack.state import recall
from parley.stack.supervisor import Process, Supervisor

WHOLE_GROUP = {signals.SIGKILL, signals.SIGSTOP, signals.SIGCONT}
"""These hit a part's helper processes too, as a machine that dies or sleeps would."""

RABBITMQCTL_PATIENCE = 60.0
"""Seconds."""


@dataclass(frozen=True, kw_only=True)
class PartStatus:
    """One line of the table: `uptime` in seconds, `problems` why it is not ready, if it says so."""

    name: str
    state: str
    pid: int
    port: int | None
    uptime: int
    ready: bool
    problems: Sequence[str] = ()


class Stack:
    """A stack that lives in `directory`.

    `gateways` and `workers` are counts, by default what the directory remembers, else 2. Without
    `http_port` nginx gets a free port. `settings` are the services' environment variables; `REDIS_URL`,
    `RABBITMQ_URL` and `MONGO_URL` among them replace a server of our own. The stack ends with this
    process unless it is `detached`. `commands` says how `gateway` and `worker` are started.
    All ports are on 127.0.0.1. Methods raise StackError, with one sentence.
    """

    def __init__(
        self,
        directory: Path,
        *,
        gateways: int | None = None,
        workers: int | None = None,
        http_port: int | None = None,
        host: str = LOOPBACK,
        settings: Mapping[str, str] | None = None,
        commands: Commands | None = None,
        detached: bool = False,
        report: Report = lambda line: None,
    ) -> None:
        place = StackPaths(directory.resolve())
        memory = recall(place).sized(gateways, workers)
        self._http_port = http_port
        self._report = report
        self._plan = Plan(
            place=place,
            memory=memory,
            ports=Ports(memory.base, http_port or memory.base),
            host=host,
            settings=settings or {},
            commands={**SERVICES, **(commands or {})},
            owner=None if detached else os.getpid(),
        )
        self._supervisor = Supervisor(place.root, place.socket)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @property
    def directory(self) -> Path:
        return self._plan.place.root

    @property
    def url(self) -> str:
        """Where clients go: nginx."""
        return f"http://{self._plan.edge().address}:{self._plan.ports.http}"

    @property
    def gateway_urls(self) -> list[str]:
        """The gateways' own addresses, past nginx."""
        return [f"http://{LOOPBACK}:{port}" for port in self._plan.gateways.values()]

    @property
    def worker_urls(self) -> list[str]:
        ports = (self._plan.ports.worker(number + 1) for number in range(self._plan.memory.workers))
        return [f"http://{LOOPBACK}:{port}" for port in ports]

    @property
    def redis_url(self) -> str:
        return self._plan.redis_url

    @property
    def rabbitmq_url(self) -> str:
        return self._plan.rabbitmq_url

    @property
    def mongo_url(self) -> str:
        return self._plan.mongo_url

    @property
    def jwt_secret(self) -> str:
        return self._plan.jwt_secret

    @property
    def environment(self) -> dict[str, str]:
        """What the services are told: urls of the servers, JWT_SECRET, and the settings."""
        return self._plan.environment()

    def is_up(self) -> bool:
        """Whether its supervisor runs."""
        return self._supervisor.is_running()

    def log(self, part: str) -> Path:
        """The file that a part's output goes to."""
        return self._plan.place.log(part)

    def up(self) -> None:
        """Start what does not run, restart what is configured otherwise; return when all is ready."""
        with self._alone():
            fresh = not self.is_up()
            if fresh:
                self._launch()
            elif not nginx.has_port(self._plan.place, self._plan.edge()):
                self._require_http_port()
            self._plan.memory.save(self._plan.place)
            try:
                Reconciliation(self._plan, self._supervisor, self._report).run()
            except BaseException:
                if fresh:
                    self._take_down()
                raise

    def down(self) -> None:
        """Stop everything, what clients see first, and leave no process."""
        if self.directory.exists():
            with self._alone():
                self._take_down()

    def scale(self, gateways: int | None = None, workers: int | None = None) -> None:
        """Change the counts, and remember them; sockets on gateways that stay are not touched."""
        self._require_up()
        self._plan = replace(self._plan, memory=self._plan.memory.sized(gateways, workers))
        with self._alone():
            self._plan.memory.save(self._plan.place)
            Reconciliation(self._plan, self._supervisor, self._report).run()

    def tell(self, special: Mapping[str, Mapping[str, str]]) -> None:
        """Give single services, by name, settings of their own, and take back those given before.

        Those of which that changes anything are restarted; returns when they are ready.
        """
        for name in special:
            self._part(name)
        self._plan = replace(self._plan, special=special)
        self.up()

    def start(self, name: str) -> None:
        """Start a part that was stopped, and wait until it is ready."""
        self._part(name)
        Reconciliation(self._plan, self._supervisor, self._report).bring_up({name})

    def stop(self, name: str) -> None:
        """Stop a part (SIGTERM) and wait until it has ended; it stays stopped until `start` or `up`."""
        self._part(name)
        self._supervisor.stop({name})

    def kill(self, name: str) -> None:
        """Kill a part (SIGKILL); other than after `signal` it stays away until `start` or `up`."""
        # Frozen, it does not see the SIGTERM by which supervisor gives it up.
        self.signal(name, signals.SIGSTOP)
        self._supervisor.ask_to_stop(name)
        self.signal(name, signals.SIGKILL)
        self._supervisor.stop({name})

    def pid(self, name: str) -> int:
        """The part's process; StackError when it does not run."""
        self._part(name)
        pid = self._supervisor.processes()[name].pid
        if not pid:
            raise StackError(f"{name} does not run.")
        return pid

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a part; supervisor starts it again if that ends it."""
        pid = self.pid(name)
        if number in WHOLE_GROUP:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)

    def status(self) -> list[PartStatus]:
        """All parts in the order of starting; empty when the stack is down."""
        if not self.is_up():
            return []
        known = self._supervisor.processes()
        parts = {part.name: part for part in self._plan.parts() if part.name != WATCH}
        return [_status(part, known[name]) for name, part in parts.items() if name in known]

    def rabbitmqctl(self, *arguments: str) -> str:
        """Run rabbitmqctl against this stack's node; returns what it prints."""
        command, env = rabbitmqctl(self._plan.place, self._plan.ports)
        try:
            done = subprocess.run(
                [*command, *arguments],
                env={"PATH": os.environ.get("PATH", os.defpath), **env},
                capture_output=True,
                text=True,
                check=False,
                timeout=RABBITMQCTL_PATIENCE,
            )
        except subprocess.TimeoutExpired:
            raise StackError(
                f"rabbitmqctl {' '.join(arguments)} has not ended after {RABBITMQCTL_PATIENCE:.0f} s."
            ) from None
        if done.returncode:
            raise StackError(
                f"rabbitmqctl {' '.join(arguments)} failed: {(done.stderr or done.stdout).strip()}"
            )
        return done.stdout

    def _launch(self) -> None:
        """Start supervisord on ports that are free, with nothing left of an earlier life."""
        place = self._plan.place
        processes.kill_all(place.root)
        memory = self._plan.memory.on_free_ports()
        ports = Ports(memory.base, self._http_port or memory.base)
        self._plan = replace(self._plan, memory=memory, ports=ports)
        self._require_http_port()
        self._supervisor.launch(programs.write_all(place, self._plan.parts()))

    def _require_http_port(self) -> None:
        require_free(self._plan.ports.http, self._plan.host, "HTTP_PORT")

    def _take_down(self) -> None:
        if self.is_up():
            stop_in_order(self._supervisor, self._supervisor.processes().keys() - {WATCH})
            self._supervisor.shut_down()
        processes.kill_all(self.directory)
        if self._plan.place.socket.parent != self.directory and self._plan.place.socket.parent.exists():
            self._plan.place.socket.parent.rmdir()

    def _part(self, name: str) -> Part:
        self._require_up()
        parts = {part.name: part for part in self._plan.parts()}
        if name not in parts:
            raise StackError(f"There is no part {name}: there are {', '.join(parts)}.")
        return parts[name]

    def _require_up(self) -> None:
        if not self.is_up():
            raise StackError("The stack is not up: run `make up` first.")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands at once would undo each other's steps."""
        place = self._plan.place
        place.create()
        with place.lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _status(part: Part, process: Process) -> PartStatus:
    ready = part.ready()
    return PartStatus(
        name=part.name,
        state=process.state,
        pid=process.pid,
        port=part.port,
        uptime=process.uptime,
        ready=ready,
        problems=() if ready or not process.pid else part.problems(),
    )
