"""The checks of gateways and workers, by `/readyz` and `/metrics`."""

from collections.abc import Iterator, Sequence

from parley.cli.doctor.finding import Finding, Findings
from parley.cli.probes import Probe

DATE_SECONDS = 1.0
"""The precision of HTTP's header Date."""
LAG_SECONDS = 10.0
ADVICE = {
    "RabbitMQ": "see the findings of rabbitmq",
    "MongoDB": "see the findings of mongodb",
    "Redis": "see the findings of redis",
}


def check(of_gateways: Sequence[Probe], of_workers: Sequence[Probe], partitions: int) -> list[Finding]:
    """Return the findings on the services that gave these answers."""
    probes = [*of_gateways, *of_workers]
    return [
        *_of("gateway", of_gateways, "PARLEY_GATEWAYS", "gateway:8001"),
        *_of("worker", of_workers, "PARLEY_WORKERS", "worker:9001"),
        *_versions(probes),
        *_partitions(of_workers, partitions),
    ]


def _of(kind: str, probes: Sequence[Probe], setting: str, example: str) -> Iterator[Finding]:
    if not probes:
        text = f"No {kind} is known here: name their addresses in {setting}, such as {example}."
        yield Findings(kind).warning("reachable", text)
    for probe in probes:
        yield from _service(Findings(f"{kind} {probe.address}"), probe)


def _service(findings: Findings, probe: Probe) -> Iterator[Finding]:
    if probe.error:
        yield findings.error("reachable", f"It does not answer ({probe.error}): start it, or read its log.")
        return
    for problem in probe.problems:
        advice = next((text for word, text in ADVICE.items() if word in problem), "read its log")
        yield findings.error("ready", f"It is not ready ({problem.rstrip('.')}): {advice}.")
    if probe.ready:
        yield findings.ok("ready", f"It is ready, version {probe.version}.")
    if probe.date is not None:
        yield findings.clock(probe.date, DATE_SECONDS, probe.received_at)
    yield from _measured(findings, probe)


def _measured(findings: Findings, probe: Probe) -> Iterator[Finding]:
    if probe.metrics.value("parley_bus_stale"):
        yield findings.error(
            "bus", "It receives nothing from Redis: look at Redis, then restart this gateway if it stays so."
        )
    lag = probe.metrics.value("parley_lag_seconds") or 0.0
    if lag > LAG_SECONDS:
        yield findings.warning(
            "lag", f"It is {lag:,.0f} s behind: a slow MongoDB, or too few workers or partitions."
        )


def _versions(probes: Sequence[Probe]) -> Iterator[Finding]:
    versions = sorted({probe.version for probe in probes if not probe.error})
    if len(versions) > 1:
        yield Findings("services").warning(
            "version", f"The versions {', '.join(versions)} run side by side: finish the upgrade."
        )


def _partitions(workers: Sequence[Probe], partitions: int) -> Iterator[Finding]:
    answered = [worker for worker in workers if not worker.error]
    held = sum(worker.metrics.value("parley_partitions_held") or 0 for worker in answered)
    if answered and len(answered) == len(workers) and held != partitions:
        yield Findings("services").warning(
            "partitions",
            f"The workers hold {held:.0f} of {partitions} partitions: more workers may run than are named in "
            "PARLEY_WORKERS; else a partition has no owner.",
        )
    if len(workers) > partitions:
        yield Findings("services").warning(
            "workers",
            f"{len(workers)} workers share {partitions} partitions, so some have no work: "
            f"run make partitions N={len(workers)}.",
        )
