"""The measurements of one offered load, its line in the table, and the bounds that it has to keep."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from load import meters
from load.generator.histogram import Delays, percentile
from load.generator.ledger import Tally

REFUSED_WITHIN = 2.0
"""Seconds within which each send must be accepted or refused."""
OVERLOADED = "OVERLOADED"
CLIENTS = "clients"
MOST_UNCERTAIN = 0.01
"""The share of the sends that may be refused without knowing whether they are stored, or by an outage."""
LEAST_THROUGHPUT = 0.95
"""The throughput of an overload as a share of that of the capacity; the rest is the error of measurement."""
MOST_GROWTH_MIB = 64.0


@dataclass
class Step:
    """The measurements of one offered load; rates are per second."""

    load: float
    offered: float
    accepted: float
    stored: float
    delivered: float
    refused: Counter[str]
    seconds: float
    """The time over which the refusals were counted."""
    tally: Tally = field(default_factory=Tally)
    """The whole step, with its beginning and with what came later than its end."""
    lost: int = 0
    """Deliveries of accepted messages that are missing."""
    unanswered: int = 0
    drain: float = 0.0
    gateway_mib: float = 0.0
    worker_mib: float = 0.0
    waiting: float = 0.0
    processors: Counter[str] = field(default_factory=Counter)
    """The processors that each kind of process has used, the load client's too."""

    @property
    def refused_rate(self) -> float:
        return self.refused.total() / self.seconds

    @property
    def accepted_delays(self) -> Delays:
        return self.tally.accepted_delays

    @property
    def delivery_delays(self) -> Delays:
        return self.tally.delivered_delays

    @property
    def slowest_answer(self) -> float:
        return max(percentile(self.tally.accepted_delays, 1), percentile(self.tally.refused_delays, 1))

    def problems(self) -> list[str]:
        """Return the bounds that the step has broken."""
        announced = self.tally.refused_deliveries[OVERLOADED]
        uncertain = self.refused.total() - self.refused[OVERLOADED]
        checks = {
            f"{self.lost} deliveries of accepted messages are missing": self.lost > 0,
            f"{self.unanswered} sends were not answered": self.unanswered > 0,
            f"an answer took {self.slowest_answer:.1f} s": self.slowest_answer >= REFUSED_WITHIN,
            f"{announced} deliveries are of messages refused as {OVERLOADED}": announced > 0,
            f"{self.tally.doubled} deliveries are doubled": self.tally.doubled > 0,
            f"{self.tally.unexpected} deliveries are of messages that nobody sent": self.tally.unexpected > 0,
            f"{self.tally.disconnects} sockets were closed": self.tally.disconnects > 0,
            f"{uncertain} sends were refused with another code": (
                uncertain > MOST_UNCERTAIN * self.offered * self.seconds
            ),
        }
        return [f"{self.load:g}x: {problem}" for problem, is_broken in checks.items() if is_broken]


def problems(steps: Sequence[Step]) -> list[str]:
    """Return the bounds that single steps, or the overload compared with the capacity, have broken."""
    found = [problem for step in steps for problem in step.problems()]
    first, last = steps[0], max(steps, key=lambda step: step.load)
    full = next((step for step in steps if step.load == 1), None)
    if full is not None and last.stored < LEAST_THROUGHPUT * full.stored:
        found.append(f"{last.load:g}x: {last.stored:,.0f}/s are stored, of {full.stored:,.0f}/s at 1x")
    if last.gateway_mib > first.gateway_mib + MOST_GROWTH_MIB:
        found.append(f"a gateway grew from {first.gateway_mib:.0f} to {last.gateway_mib:.0f} MiB")
    return found


@dataclass
class Peak:
    """The highest values of a step."""

    gateway_mib: float = 0.0
    worker_mib: float = 0.0
    waiting: float = 0.0

    def update(self, now: meters.Meters) -> None:
        self.gateway_mib = max(self.gateway_mib, meters.memory(now, "gateway"))
        self.worker_mib = max(self.worker_mib, meters.memory(now, "worker"))
        self.waiting = max(self.waiting, meters.waiting(now))


@dataclass
class Rates:
    """Counts per second."""

    sent: float
    accepted: float
    stored: float
    delivered: float

    @classmethod
    def between(cls, first: Tally, last: Tally, seconds: float) -> "Rates":
        names = ("sent", "accepted", "stored", "delivered")
        return cls(**{name: (getattr(last, name) - getattr(first, name)) / seconds for name in names})


HEADS = (
    ("load", 5), ("offered/s", 9), ("accepted/s", 10), ("stored/s", 8), ("delivered/s", 11), ("refused", 24),
    ("accepted p50", 12), ("p99", 6), ("refused p99", 11), ("delivered p50", 13), ("p99", 6), ("slowest", 7),
    ("own", 5), (CLIENTS, 7), ("gateways", 8), ("nginx", 5), ("others", 6),
    ("waiting", 7), ("gateway MiB", 11), ("worker MiB", 10), ("drain s", 7), ("lost", 4),
)  # fmt: skip
"""The table's columns and their widths; delays are in ms, and kinds of processes are in processors used."""


def row(step: Step) -> str:
    """Return a line of the table."""
    tally = step.tally
    accepted, refused, delivered = tally.accepted_delays, tally.refused_delays, tally.delivered_delays
    ms = [
        f"{1000 * delay:,.0f}"
        for delay in (
            percentile(accepted, 0.5), percentile(accepted, 0.99), percentile(refused, 0.99),
            percentile(delivered, 0.5), percentile(delivered, 0.99), step.slowest_answer, tally.late,
        )
    ]  # fmt: skip
    cells = (
        f"{step.load:g}x", f"{step.offered:,.0f}", f"{step.accepted:,.0f}", f"{step.stored:,.0f}",
        f"{step.delivered:,.0f}", ", ".join(f"{n} {code}" for code, n in step.refused.items()) or "0",
        *ms, *_used(step.processors),
        f"{step.waiting:,.0f}", f"{step.gateway_mib:.0f}", f"{step.worker_mib:.0f}",
        f"{step.drain:.1f}", f"{step.lost + step.unanswered}",
    )  # fmt: skip
    return "  ".join(cell.rjust(width) for cell, (_, width) in zip(cells, HEADS, strict=True))


def _used(processors: Counter[str]) -> list[str]:
    shown = [processors[kind] for kind in (CLIENTS, "gateways", "nginx")]
    return [f"{each:.2f}" for each in (*shown, processors.total() - sum(shown))]
