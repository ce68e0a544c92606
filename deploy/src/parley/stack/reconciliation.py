"""Bring the running processes in line with the plan, without touching those that already are."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from signal import SIGHUP

from parley.stack import programs
from parley.stack.errors import StackError
from parley.stack.parts import nginx
from parley.stack.parts.part import Part, Report, Tier
from parley.stack.parts.services import node
from parley.stack.plan import Plan
from parley.stack.ports import require_free
from parley.stack.supervisor import STOPPED_STATES, Process, Supervisor

# Monitoring waits for nobody, and RabbitMQ takes the longest of all.
START_ORDER = ({Tier.NAMES}, {Tier.SERVERS, Tier.MONITORING}, {Tier.WORKERS, Tier.GATEWAYS}, {Tier.EDGE})
STOP_ORDER = (
    Tier.MONITORING,
    Tier.EDGE,
    Tier.GATEWAYS,
    Tier.WORKERS,
    Tier.SERVERS,
    Tier.NAMES,
    Tier.WATCHDOG,
)

START_TIMEOUT = 90.0
RELOAD_TIMEOUT = 10.0
POLL_INTERVAL = 0.05
"""Seconds."""


@dataclass
class StartAttempts:
    """The pids seen while a part starts, either as requested here or as restarted by supervisor."""

    requested: bool
    pids: set[int] = field(default_factory=set)

    def failed(self, process: Process) -> bool:
        """Whether the part has ended since the wait began.

        A part that had ended before is being restarted by supervisor, so its first new pid is no failure.
        """
        self.pids.update({process.pid} - {0})
        if self.requested:
            return process.state in STOPPED_STATES | {"BACKOFF"} or len(self.pids) > 1
        return process.state in STOPPED_STATES - {"EXITED"} or len(self.pids) > 2


class Reconciliation:
    """One pass from the running processes to the planned ones."""

    def __init__(self, plan: Plan, supervisor: Supervisor, report: Report) -> None:
        self._plan = plan
        self._supervisor = supervisor
        self._report = report

    def run(self, tiers: Collection[Tier] = tuple(Tier)) -> None:
        """Add, restart and remove parts as planned; return when all of these tiers are ready."""
        parts = self._plan.parts()
        self._check_changed_services(parts)
        if not nginx.has_address(self._plan.paths, self._plan.edge()):
            self._leave_address()
        nginx_runs = self._nginx_pid() != 0
        if nginx_runs:
            self._stop_routing_to_leaving_gateways()
        else:
            nginx.configure(self._plan.paths, self._plan.edge())
        self._apply(parts)
        for group in START_ORDER:
            if nginx_runs and Tier.EDGE in group:
                self._reload(self._plan.edge())
            self._start_and_wait([part for part in parts if part.tier in group and part.tier in tiers])

    def start(self, names: Collection[str]) -> None:
        """Start these parts and wait until they are ready."""
        self._start_and_wait([part for part in self._plan.parts() if part.name in names])

    def _check_changed_services(self, parts: Sequence[Part]) -> None:
        """Check new settings before stopping a running service; parts of one tier are checked once."""
        running = {name for name, process in self._supervisor.processes().items() if process.pid}
        changed = [p for p in parts if p.check and p.name in running]
        checked = {tier_of(p.name): p for p in reversed(changed) if programs.is_changed(self._plan.paths, p)}
        for part in checked.values():
            problem = self._supervisor.run_check(part.check, part.directory, part.env)
            if problem:
                raise StackError(f"{part.name} cannot start with its new settings; it still runs. {problem}")

    def _leave_address(self) -> None:
        """Stop nginx: it cannot listen on 0.0.0.0 while it listens on another address of the same port.

        Raises:
            StackError: The new address is in use; nginx keeps the present one.
        """
        runs = self._nginx_pid() != 0
        self._supervisor.stop({"nginx"})
        try:
            require_free(self._plan.ports.http, self._plan.host, "HTTP_PORT")
        except StackError:
            if runs:
                self._supervisor.start("nginx")
            raise

    def _stop_routing_to_leaving_gateways(self) -> None:
        """Route new clients to staying gateways; a leaving one keeps its own clients while it drains."""
        planned = self._plan.gateways
        running = self._running_gateways()
        leaving = {name: address for name, address in running.items() if name not in planned}
        if leaving:
            staying = {name: address for name, address in planned.items() if name in running}
            self._reload(replace(self._plan.edge(), accepting=staying, routable=staying | leaving))

    def _running_gateways(self) -> dict[str, str]:
        numbers = [
            int(process.name.removeprefix("gateway-"))
            for process in self._supervisor.processes().values()
            if process.name.startswith("gateway-") and process.pid
        ]
        return {node(number): self._plan.gateway_address(number) for number in sorted(numbers)}

    def _apply(self, parts: Sequence[Part]) -> None:
        programs.write_config(self._plan.paths, parts)
        added, changed, removed = self._supervisor.reread()
        if changed + removed:
            self._report(f"stopping {', '.join(sorted(changed + removed))}")
            stop_in_order(self._supervisor, changed + removed)
        self._supervisor.remove(changed + removed)
        self._supervisor.add(added + changed)

    def _start_and_wait(self, parts: Sequence[Part]) -> None:
        states = self._supervisor.processes()
        stopped = [part for part in parts if states[part.name].state in STOPPED_STATES]
        for part in stopped:
            self._report(f"starting {part.name}")
            if part.prepare is not None:
                part.prepare(self._report)
            self._supervisor.start(part.name)
        self._wait(parts, requested={part.name for part in stopped})

    def _wait(self, parts: Iterable[Part], requested: Collection[str]) -> None:
        waiting = {part.name: part for part in parts}
        attempts = {name: StartAttempts(requested=name in requested) for name in waiting}
        deadline = time.monotonic() + START_TIMEOUT
        while waiting:
            for name in [name for name, part in waiting.items() if part.ready()]:
                del waiting[name]
                if name in requested:
                    self._report(f"{name} is ready")
            self._raise_on_failure(waiting, attempts, deadline)
            for part in waiting.values():
                if part.setup is not None:
                    part.setup(self._report)
            if waiting:
                time.sleep(POLL_INTERVAL)

    def _raise_on_failure(
        self, waiting: Collection[str], attempts: Mapping[str, StartAttempts], deadline: float
    ) -> None:
        states = self._supervisor.processes() if waiting else {}
        for name in waiting:
            if attempts[name].failed(states[name]):
                raise StackError(f"{name} ended right after its start.{self._log_tail(name)}")
            if time.monotonic() > deadline:
                raise StackError(f"{name} is not ready after {START_TIMEOUT:.0f} s.{self._log_tail(name)}")

    def _reload(self, edge: nginx.Edge) -> None:
        if not nginx.configure(self._plan.paths, edge):
            return
        nginx.check(self._plan.paths)
        master = self._nginx_pid()
        old = nginx.workers(master)
        self._supervisor.signal("nginx", SIGHUP)
        nginx.wait_for_new_workers(master, old, time.monotonic() + RELOAD_TIMEOUT)
        self._report(f"nginx routes new clients to {', '.join(edge.accepting)}")

    def _nginx_pid(self) -> int:
        process = self._supervisor.processes().get("nginx")
        return process.pid if process else 0

    def _log_tail(self, name: str, count: int = 15) -> str:
        log = self._plan.paths.log(name)
        lines = log.read_text(errors="replace").splitlines()[-count:] if log.exists() else []
        return "".join(f"\n  {line}" for line in ["The end of its log:", *lines]) if lines else ""


def stop_in_order(supervisor: Supervisor, names: Collection[str]) -> None:
    """Stop these programs tier by tier, from nginx down to the servers."""
    for tier in STOP_ORDER:
        supervisor.stop([name for name in names if tier_of(name) is tier])


def tier_of(name: str) -> Tier:
    """Return the tier of a program by its name, also when it is no longer planned."""
    kinds = {
        "nginx": Tier.EDGE,
        "gateway": Tier.GATEWAYS,
        "worker": Tier.WORKERS,
        "epmd": Tier.NAMES,
        "admin": Tier.MONITORING,
        "prometheus": Tier.MONITORING,
        "watchdog": Tier.WATCHDOG,
    }
    return kinds.get(name.partition("-")[0], Tier.SERVERS)
