"""Makes what runs become what is planned, touching nothing that is right already."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from signal import SIGHUP

from parley.stack import programs
from parley.stack.errors import StackError
from parley.stack.parts import nginx
from parley.stack.parts.part import Part, Tier
from parley.stack.parts.services import node
from parley.stack.plan import Plan
from parley.stack.supervisor import STOPPED_STATES, Process, Supervisor

Report = Callable[[str], None]
"""Hears one line for each step."""

START_ORDER = ({Tier.NAMES}, {Tier.SERVERS}, {Tier.WORKERS, Tier.GATEWAYS}, {Tier.EDGE})
STOP_ORDER = (Tier.EDGE, Tier.GATEWAYS, Tier.WORKERS, Tier.SERVERS, Tier.NAMES, Tier.WATCH)

START_PATIENCE = 90.0
RELOAD_PATIENCE = 10.0
POLL = 0.05
"""Seconds."""


@dataclass
class Starts:
    """The starts of a part: `ours`, or those of supervisor, which brings back what fell."""

    ours: bool
    pids: set[int] = field(default_factory=set)

    def have_failed(self, process: Process) -> bool:
        """Whether the part has ended once more; one that had ended before we came is being brought back."""
        self.pids.update({process.pid} - {0})
        if self.ours:
            return process.state in STOPPED_STATES | {"BACKOFF"} or len(self.pids) > 1
        return process.state in STOPPED_STATES - {"EXITED"} or len(self.pids) > 2


class Reconciliation:
    """One pass from what runs to what is planned."""

    def __init__(self, plan: Plan, supervisor: Supervisor, report: Report) -> None:
        self._plan = plan
        self._supervisor = supervisor
        self._report = report

    def run(self) -> None:
        """Add, restart and remove what the plan says; returns when everything planned is ready."""
        parts = self._plan.parts()
        self._refuse_what_could_not_start(parts)
        nginx_runs = self._nginx_pid() != 0
        if nginx_runs:
            self._close_the_door_on_leaving_gateways()
        else:
            nginx.configure(self._plan.place, self._plan.edge())
        self._apply(parts)
        for tiers in START_ORDER:
            if nginx_runs and Tier.EDGE in tiers:
                self._reload(self._plan.edge())
            self._bring_up([part for part in parts if part.tier in tiers])

    def bring_up(self, names: Collection[str]) -> None:
        """Start these parts and wait until they are ready."""
        self._bring_up([part for part in self._plan.parts() if part.name in names])

    def _refuse_what_could_not_start(self, parts: Sequence[Part]) -> None:
        """Nothing that runs is given up for settings that make no sense; like parts are tried once."""
        running = {name for name, process in self._supervisor.processes().items() if process.pid}
        changed = [p for p in parts if p.check and p.name in running]
        tried = {tier_of(p.name): p for p in reversed(changed) if programs.is_changed(self._plan.place, p)}
        for part in tried.values():
            answer = self._supervisor.try_out(part.check, part.directory, part.env)
            if answer:
                raise StackError(f"{part.name} would not start, and was left as it was. {answer}")

    def _close_the_door_on_leaving_gateways(self) -> None:
        """New clients go elsewhere at once; a leaving gateway's own still reach it while it says goodbye."""
        planned = self._plan.gateways
        running = self._running_gateways()
        leaving = {name: port for name, port in running.items() if name not in planned}
        if leaving:
            staying = {name: port for name, port in planned.items() if name in running}
            self._reload(replace(self._plan.edge(), accepting=staying, routable=staying | leaving))

    def _running_gateways(self) -> dict[str, int]:
        numbers = [
            int(process.name.removeprefix("gateway-"))
            for process in self._supervisor.processes().values()
            if process.name.startswith("gateway-") and process.pid
        ]
        return {node(number): self._plan.ports.gateway(number) for number in sorted(numbers)}

    def _apply(self, parts: Sequence[Part]) -> None:
        programs.write_all(self._plan.place, parts)
        added, changed, removed = self._supervisor.reread()
        if changed + removed:
            self._report(f"stopping {', '.join(sorted(changed + removed))}")
            stop_in_order(self._supervisor, changed + removed)
        self._supervisor.remove(changed + removed)
        self._supervisor.add(added + changed)

    def _bring_up(self, parts: Sequence[Part]) -> None:
        states = self._supervisor.processes()
        idle = [part for part in parts if states[part.name].state in STOPPED_STATES]
        for part in idle:
            self._report(f"starting {part.name}")
            self._supervisor.start(part.name)
        self._wait(parts, announce={part.name for part in idle})

    def _wait(self, parts: Iterable[Part], announce: Collection[str]) -> None:
        waiting = {part.name: part for part in parts}
        starts = {name: Starts(ours=name in announce) for name in waiting}
        deadline = time.monotonic() + START_PATIENCE
        while waiting:
            for name in [name for name, part in waiting.items() if part.ready()]:
                del waiting[name]
                if name in announce:
                    self._report(f"{name} is ready")
            self._refuse_failures(waiting, starts, deadline)
            if waiting:
                time.sleep(POLL)

    def _refuse_failures(
        self, waiting: Collection[str], starts: Mapping[str, "Starts"], deadline: float
    ) -> None:
        states = self._supervisor.processes() if waiting else {}
        for name in waiting:
            if starts[name].have_failed(states[name]):
                raise StackError(f"{name} ends right after its start.{self._log_of(name)}")
            if time.monotonic() > deadline:
                raise StackError(f"{name} is not ready after {START_PATIENCE:.0f} s.{self._log_of(name)}")

    def _reload(self, edge: nginx.Edge) -> None:
        if not nginx.configure(self._plan.place, edge):
            return
        nginx.check(self._plan.place)
        master = self._nginx_pid()
        old = nginx.workers(master)
        self._supervisor.signal("nginx", SIGHUP)
        nginx.wait_for_new_workers(master, old, time.monotonic() + RELOAD_PATIENCE)
        self._report(f"nginx sends new clients to {', '.join(edge.accepting)}")

    def _nginx_pid(self) -> int:
        process = self._supervisor.processes().get("nginx")
        return process.pid if process else 0

    def _log_of(self, name: str) -> str:
        return last_lines(self._plan, name)


def last_lines(plan: Plan, name: str, count: int = 15) -> str:
    """The end of a part's log, as an addition to an error's sentence."""
    log = plan.place.log(name)
    lines = log.read_text(errors="replace").splitlines()[-count:] if log.exists() else []
    return "".join(f"\n  {line}" for line in ["The end of its log:", *lines]) if lines else ""


def stop_in_order(supervisor: Supervisor, names: Collection[str]) -> None:
    """Stop these programs, those that clients see first."""
    for tier in STOP_ORDER:
        supervisor.stop([name for name in names if tier_of(name) is tier])


def tier_of(name: str) -> Tier:
    """The tier of a program by its name, for programs that are no longer planned as well."""
    kinds = {
        "nginx": Tier.EDGE,
        "gateway": Tier.GATEWAYS,
        "worker": Tier.WORKERS,
        "epmd": Tier.NAMES,
        "owner": Tier.WATCH,
    }
    return kinds.get(name.partition("-")[0], Tier.SERVERS)
