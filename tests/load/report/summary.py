"""The figures of a load: totals, percentiles, and a line for each second."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from load.generator.fleet import Drained
from load.generator.histogram import Delays, percentile
from load.generator.ledger import Tally
from load.sampler import CLIENTS, Sample

MILLI, MICRO, KIB, MIB = 1e3, 1e6, 1 << 10, 1 << 20
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


@dataclass(frozen=True)
class Incident:
    """Something that was done to the system or to the clients."""

    at: float
    """By `perf_counter`."""
    title: str
    sockets: int
    """The number of sockets that it closed."""


@dataclass
class LoadResult:
    """Everything that a run has measured; times are by `perf_counter`."""

    settings: Mapping[str, Any]
    began: float
    """When the first message was due."""
    seconds: float
    """How long was sent."""
    connected_in: float
    tally: Tally
    by_second: Mapping[int, Tally]
    samples: Sequence[Sample]
    drained: Drained
    idle_memory: Mapping[str, int] = field(default_factory=dict)
    """Resident bytes by gateway before the first socket."""
    incidents: Sequence[Incident] = ()
    gateways: Mapping[str, int] = field(default_factory=dict)
    """Sockets by gateway when all were connected."""

    @property
    def problems(self) -> list[str]:
        """Losses, doubles and open accounts in words; none if all is accounted for."""
        balance, tally = self.drained.balance, self.tally
        counts = {
            "deliveries are missing": balance.missing,
            "sends were not answered": balance.unanswered,
            "accepted messages were not confirmed as stored": balance.unstored,
            "deliveries are doubled": tally.doubled,
            "deliveries are of messages that nobody sent": tally.unexpected,
            "clients have not returned": self.drained.away,
            "clients missed more than a sync tells, and this tool reads no history": tally.too_far,
        }
        return [f"{count:,} {problem}" for problem, count in counts.items() if count]

    @property
    def processor(self) -> dict[str, float]:
        """Seconds of processor time by part, from the first message on."""
        used: dict[str, float] = {}
        for sample in self.samples:
            if sample.at >= self.began:
                for name, seconds in sample.processor.items():
                    used[name] = used.get(name, 0.0) + seconds
        return used

    @property
    def kib_per_socket(self) -> float:
        """Memory of the gateways per socket when most were connected, above that before the first one."""
        most = max(self.samples, key=lambda sample: sample.sockets)
        grown = sum(most.memory.get(name, 0) - before for name, before in self.idle_memory.items())
        return grown / max(most.sockets, 1) / KIB

    def after(self, incident: Incident) -> Tally:
        """Return the sum of the seconds from an incident on."""
        total = Tally()
        for second, tally in self.by_second.items():
            if second >= int(incident.at):
                total.add(tally)
        return total


def totals(result: LoadResult) -> dict[str, Any]:
    """Return the figures of the whole run."""
    tally, stored = result.tally, max(result.tally.stored, 1)
    return {
        "sockets": result.settings["sockets"],
        "connected in s": round(result.connected_in, 2),
        "sent": tally.sent,
        "accepted": tally.accepted,
        "stored": tally.stored,
        "delivered": tally.delivered,
        "stored/s": round(tally.stored / result.seconds, 1),
        "delivered/s": round(tally.delivered / result.seconds, 1),
        "other events": tally.others,
        "refused": dict(tally.refused),
        "missing": result.drained.balance.missing,
        "unanswered": result.drained.balance.unanswered,
        "unconfirmed": result.drained.balance.unstored,
        "doubled": tally.doubled,
        "repeated to clients that returned": tally.repeated,
        "unexpected": tally.unexpected,
        "disconnects": tally.disconnects,
        "failed attempts to return": dict(tally.failed_returns),
        "drained in s": round(result.drained.seconds, 2),
        "clients were late by ms, at most": round(MILLI * tally.late, 1),
        "gateways KiB a socket": round(result.kib_per_socket, 1) if result.idle_memory else None,
        "accepted ms": percentiles(tally.accepted_delays),
        "delivered ms": percentiles(tally.delivered_delays),
        "delivered ms, clients that were disconnected or read slowly": percentiles(tally.returned_delays),
        "processor us a message": {
            name: round(MICRO * seconds / stored, 1) for name, seconds in result.processor.items()
        },
        "incidents": [_incident(result, incident) for incident in result.incidents],
    }


def seconds(result: LoadResult) -> list[dict[str, Any]]:
    """Return the figures of each second, counted from the first message."""
    return [
        {
            "second": second - int(result.began),
            "sent": tally.sent,
            "accepted": tally.accepted,
            "stored": tally.stored,
            "delivered": tally.delivered,
            "refused": tally.refused.total(),
            "connects": tally.connects,
            "disconnects": tally.disconnects,
            "delivered ms": percentiles(tally.delivered_delays),
        }
        for second, tally in sorted(result.by_second.items())
    ]


def percentiles(delays: Delays) -> dict[str, float]:
    """Return percentiles in milliseconds; none of no delays."""
    return (
        {name: round(MILLI * percentile(delays, share), 2) for name, share in SHARES.items()}
        if delays
        else {}
    )


def server_us(result: LoadResult) -> float:
    """Return the processor time of all servers per stored message, in microseconds."""
    servers = sum(used for name, used in result.processor.items() if name != CLIENTS)
    return MICRO * servers / max(result.tally.stored, 1)


def _incident(result: LoadResult, incident: Incident) -> dict[str, Any]:
    # Of an earlier incident the last return is not known apart from those of the later one.
    returned = result.drained.returned_at if incident is result.incidents[-1] else 0.0
    return {
        "second": round(incident.at - result.began, 1),
        "incident": incident.title,
        "sockets": incident.sockets,
        "all back after s": round(returned - incident.at, 2) if returned > incident.at else None,
        "delivered ms to the others since": percentiles(result.after(incident).delivered_delays),
    }
