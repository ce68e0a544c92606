"""A complete Parley on this machine: servers, services, and nginx in front of them."""

import fcntl
import os
import shutil
import signal as signals
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from parley.stack import processes, programs
from parley.stack.errors import StackError
from parley.stack.hosts import Host, Network
from parley.stack.parts.admin import reachable
from parley.stack.parts.part import Part, Report, Tier
from parley.stack.parts.rabbitmq import run_rabbitmqctl
from parley.stack.parts.watchdog import NAME as WATCHDOG
from parley.stack.paths import StackPaths
from parley.stack.plan import SERVICES, Commands, Plan
from parley.stack.ports import LOOPBACK, Ports, joined, require_free
from parley.stack.reconciliation import Reconciliation, stop_in_order
from parley.stack.state import StackState
from parley.stack.status import PartStatus, part_status
from parley.stack.supervisor import Supervisor

GROUP_SIGNALS = {signals.SIGKILL, signals.SIGSTOP, signals.SIGCONT}
"""Signals sent to a part's helper processes too, as when a machine dies or is suspended."""


class Stack:
    """A stack whose files are below `directory`; its methods raise StackError.

    Args:
        directory: where configuration, logs, data and state are kept.
        gateways: their number; by default the saved one, else 2, or one for each host of a cluster.
        workers: their number; by default the saved one, else 2, or one for each host of a cluster.
        hosts: 1, or 3 for a cluster; by default the saved number, else 1.
        observed: whether Prometheus runs beside it; by default as saved, else not.
        http_port: nginx's port; by default a free one.
        host: the address that nginx listens on; all other ports are on 127.0.0.1.
        admin_port: the port of the admin page, which is not started without one.
        admin_host: the address that the admin page listens on.
        settings: the services' environment variables; `REDIS_URL`, `RABBITMQ_URL` and `MONGO_URL` among them
            replace the stack's own servers.
        commands: command lines of `gateway` and `worker` instead of the default ones.
        detached: leave the stack running when this process ends.
        report: takes one line of progress for each step.
    """

    def __init__(
        self,
        directory: Path,
        *,
        gateways: int | None = None,
        workers: int | None = None,
        hosts: int | None = None,
        observed: bool | None = None,
        http_port: int | None = None,
        host: str = LOOPBACK,
        admin_port: int | None = None,
        admin_host: str = LOOPBACK,
        settings: Mapping[str, str] | None = None,
        commands: Commands | None = None,
        detached: bool = False,
        report: Report = lambda line: None,
    ) -> None:
        paths = StackPaths(directory.resolve())
        state = StackState.load(paths).sized(gateways, workers, hosts).with_monitoring(observed)
        self._http_port = http_port
        self._report = report
        self._plan = Plan(
            paths=paths,
            state=state,
            ports=Ports(state.base, http_port or state.base, admin_port),
            host=host,
            admin_host=admin_host,
            settings=settings or {},
            commands={**SERVICES, **(commands or {})},
            owner=None if detached else os.getpid(),
        )
        self._supervisor = Supervisor(paths.root, paths.socket)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @property
    def directory(self) -> Path:
        return self._plan.paths.root

    @property
    def url(self) -> str:
        """The URL of nginx, for clients."""
        return f"http://{joined(self._plan.edge().address, self._plan.ports.http)}"

    @property
    def gateway_urls(self) -> list[str]:
        """The gateways' own URLs, not through nginx."""
        return [f"http://{address}" for address in self._plan.gateways.values()]

    @property
    def worker_urls(self) -> list[str]:
        return [f"http://{address}" for address in self._plan.workers]

    @property
    def is_observed(self) -> bool:
        """Whether Prometheus runs beside the stack."""
        return self._plan.state.observed

    @property
    def prometheus_url(self) -> str:
        return f"http://{LOOPBACK}:{self._plan.ports.prometheus}"

    @property
    def admin_url(self) -> str | None:
        """The URL of the admin page; None if it is not started."""
        port = self._plan.ports.admin
        return None if port is None else f"http://{joined(reachable(self._plan.admin_host), port)}/admin"

    @property
    def redis_url(self) -> str:
        return self._plan.servers.redis_url

    @property
    def rabbitmq_url(self) -> str:
        return self._plan.servers.rabbitmq_url

    @property
    def mongo_url(self) -> str:
        return self._plan.servers.mongo_url

    @property
    def hosts(self) -> tuple[Host, ...]:
        return self._plan.hosts

    @property
    def jwt_secret(self) -> str:
        return self._plan.jwt_secret

    @property
    def environment(self) -> dict[str, str]:
        """The services' environment: URLs of the servers, JWT_SECRET and the settings."""
        return self._plan.environment()

    def is_up(self) -> bool:
        """Whether the stack's supervisor runs."""
        return self._supervisor.is_running()

    def log(self, part: str) -> Path:
        """Return the file that a part's output goes to."""
        return self._plan.paths.log(part)

    def up(self) -> None:
        """Start stopped parts and restart those whose configuration changed; return when all are ready."""
        self._start(tuple(Tier))

    def start_servers(self) -> None:
        """Start the servers of a stack that is down, and nothing else; `up` starts the rest."""
        self._start((Tier.NAMES, Tier.SERVERS))

    def down(self) -> None:
        """Stop everything, nginx first, and leave no process."""
        if self.directory.exists():
            with self._locked():
                self._stop_all()

    def scale(self, gateways: int | None = None, workers: int | None = None) -> None:
        """Change and save the counts; sockets on the remaining gateways stay connected."""
        self._require_up()
        self._plan = replace(self._plan, state=self._plan.state.sized(gateways, workers))
        with self._locked():
            self._plan.state.save(self._plan.paths)
            Reconciliation(self._plan, self._supervisor, self._report).run()

    def set_overrides(self, overrides: Mapping[str, Mapping[str, str]]) -> None:
        """Replace the settings of single services, by part name; earlier overrides are dropped.

        Services whose settings changed are restarted; returns when they are ready.
        """
        for name in overrides:
            self._part(name)
        self._plan = replace(self._plan, overrides=overrides)
        self.up()

    def start(self, name: str) -> None:
        """Start a part that was stopped, and wait until it is ready."""
        self._part(name)
        Reconciliation(self._plan, self._supervisor, self._report).start({name})

    def stop(self, name: str) -> None:
        """Stop a part (SIGTERM) and wait until it has ended; it stays stopped until `start` or `up`."""
        self._part(name)
        self._supervisor.stop({name})

    @property
    def services(self) -> tuple[str, ...]:
        """The names of the workers and gateways."""
        tiers = (Tier.WORKERS, Tier.GATEWAYS)
        return tuple(part.name for part in self._plan.parts() if part.tier in tiers)

    def stop_services(self) -> None:
        """Stop the gateways, then the workers, which store what the gateways accepted; servers go on."""
        self._require_up()
        self._report("stopping the gateways and workers")
        stop_in_order(self._supervisor, self.services)

    def start_services(self) -> None:
        """Start the workers and gateways that are stopped, and wait until they are ready."""
        Reconciliation(self._plan, self._supervisor, self._report).start(self.services)

    def kill(self, name: str) -> None:
        """Kill a part (SIGKILL); unlike after `signal` it stays stopped until `start` or `up`."""
        # Supervisor sends SIGTERM when it is asked to stop a part. The part is suspended first, so that it
        # cannot react to the SIGTERM before it is killed. A program without a handler of SIGTERM ends by it
        # even so, and may be gone before the SIGKILL.
        pid = self.pid(name)
        os.killpg(pid, signals.SIGSTOP)
        self._supervisor.ask_to_stop(name)
        with suppress(ProcessLookupError):
            os.killpg(pid, signals.SIGKILL)
        self._supervisor.stop({name})

    def erase(self, name: str) -> None:
        """Remove the data of a stopped part, as when its disk is lost."""
        directory = self._part(name).directory
        if self._supervisor.processes()[name].pid:
            raise StackError(f"{name} is running: stop it first.")
        for entry in directory.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def pid(self, name: str) -> int:
        """Return the pid of the part's process.

        Raises:
            StackError: it does not run.
        """
        self._part(name)
        pid = self._supervisor.processes()[name].pid
        if not pid:
            raise StackError(f"{name} is not running.")
        return pid

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a part; supervisor restarts it if that ends it. Return when a SIGSTOP works."""
        pid = self.pid(name)
        if number in GROUP_SIGNALS:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
        if number == signals.SIGSTOP:
            processes.wait_until_suspended(pid)

    def status(self) -> list[PartStatus]:
        """Return the status of all parts in start order; empty when the stack is down."""
        if not self.is_up():
            return []
        known = self._supervisor.processes()
        parts = {part.name: part for part in self._plan.parts() if part.name != WATCHDOG}
        return [part_status(part, known[name]) for name, part in parts.items() if name in known]

    def rabbitmqctl(self, *arguments: str, host: int = 1) -> str:
        """Run rabbitmqctl against the node of a host and return its output."""
        plan = self._plan
        return run_rabbitmqctl(plan.paths, plan.ports, plan.hosts[host - 1], arguments)

    def cut(self, host: int) -> None:
        """Cut a host of a cluster off from all others; its processes go on.

        Raises:
            StackError: The hosts have no network namespaces of their own.
        """
        self._network().cut(host)

    def join(self, host: int) -> None:
        """Undo `cut`."""
        self._network().join(host)

    def separate(self, one: int, other: int) -> None:
        """Have two hosts of a cluster no longer reach each other; both still reach the third, and nginx them.

        Raises:
            StackError: The hosts have no network namespaces of their own.
        """
        self._network().separate(one, other)

    def unite(self, one: int, other: int) -> None:
        """Undo `separate`."""
        self._network().unite(one, other)

    @property
    def address(self) -> str:
        """The address by which the hosts of a cluster reach this machine, whatever cuts them off."""
        return self._network().address

    def _network(self) -> Network:
        self._require_up()
        if not self._plan.state.namespaces:
            raise StackError(
                "The hosts share this machine's network, so none can be cut off from the others."
            )
        return Network(self.directory)

    def _start(self, tiers: Collection[Tier]) -> None:
        with self._locked():
            was_down = not self.is_up()
            if was_down:
                self._launch()
            elif StackState.load(self._plan.paths).hosts != self._plan.state.hosts:
                raise StackError("The number of hosts changes only while the stack is down: run `make down`.")
            self._plan.state.save(self._plan.paths)
            try:
                Reconciliation(self._plan, self._supervisor, self._report).run(tiers)
            except BaseException:
                if was_down:
                    self._stop_all()
                raise

    def _launch(self) -> None:
        """End leftover processes of an earlier run, and start supervisord on free ports."""
        paths = self._plan.paths
        processes.kill_all(paths.root)
        state = self._plan.state.on_free_ports().on_this_machine()
        ports = replace(self._plan.ports, base=state.base, http=self._http_port or state.base)
        self._plan = replace(self._plan, state=state, ports=ports)
        self._require_ports()
        self._create_network()
        self._supervisor.launch(programs.write_config(paths, self._plan.parts()))

    def _create_network(self) -> None:
        if self._plan.state.namespaces:
            Network(self.directory).create()
        elif self._plan.state.hosts > 1:
            self._report(
                "no rights to create network namespaces: the three hosts are addresses of the loopback, "
                "and cannot be cut off from each other"
            )

    def _require_ports(self) -> None:
        plan = self._plan
        require_free(plan.ports.http, plan.host, "HTTP_PORT")
        if plan.ports.admin is not None:
            require_free(plan.ports.admin, plan.admin_host, "ADMIN_PORT")

    def _stop_all(self) -> None:
        if self.is_up():
            stop_in_order(self._supervisor, self._supervisor.processes().keys() - {WATCHDOG})
            self._supervisor.shut_down()
        processes.kill_all(self.directory)
        if self._plan.state.namespaces:
            Network(self.directory).remove()
        if self._plan.paths.socket.parent != self.directory and self._plan.paths.socket.parent.exists():
            self._plan.paths.socket.parent.rmdir()

    def _part(self, name: str) -> Part:
        self._require_up()
        parts = {part.name: part for part in self._plan.parts()}
        if name not in parts:
            raise StackError(f"There is no part {name}; the parts are {', '.join(parts)}.")
        return parts[name]

    def _require_up(self) -> None:
        if not self.is_up():
            raise StackError("The stack is not running: run `make up` first.")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the stack's lock, since two commands at once would undo each other's steps."""
        paths = self._plan.paths
        paths.create()
        with paths.lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
