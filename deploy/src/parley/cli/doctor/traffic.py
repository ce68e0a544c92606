"""The checks of what gateways and workers do: by two readings of their metrics, a few seconds apart.

Counts that ought to stay 0 are judged since the start of the process, everything else by its growth.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta

from parley.cli.doctor.finding import Finding, Findings
from parley.cli.histograms import buckets, growth, quantile
from parley.cli.probes import Probe

LEAST_SECONDS = 3.0
"""The time between the two readings, at least."""
NEW_SECONDS = 120.0
"""A process younger than this, beside older ones, may be one that ends again and again."""
DELIVERED = "parley_accepted_to_delivered_seconds"
SLOW_SECONDS = 1.0
"""As in the alert ParleyDeliverySlow."""
SEARCH_SECONDS = 60.0
GAPS_AN_HOUR = 10.0
HOUR = 3600.0

REFUSALS = {
    "RATE_LIMITED": (
        "a client floods, or a limit (RATE_*) is too low; `gateway.rate.socket_closed` in the log names a "
        "user who does not stop"
    ),
    "OVERLOADED": (
        "more is asked than the services carry, or a gateway has all the sockets that it may: see the "
        "findings on partitions, speed and lag, and MAX_SOCKETS; else start more gateways or workers"
    ),
    "UNAVAILABLE": "a server that they need does not answer: see the findings on redis, rabbitmq and mongodb",
}
BUGS = {
    "search": (
        "Messages could not be indexed for the search: `worker.search.failed` in the log names them; see the "
        "runbook, ParleySearchFailed"
    ),
    "other": "Requests met a bug: its log has a traceback at level error; report it",
}
KINDS = "of a kind that only a newer version knows came: finish the upgrade, then see `parley dead-letters`"


def check(before: Sequence[Probe], after: Sequence[Probe], seconds: float) -> list[Finding]:
    """Return the findings on the services between these two readings, so many seconds apart."""
    pairs = [pair for pair in zip(before, after, strict=True) if not pair[0].error and not pair[1].error]
    oldest = max((_age(later) for _, later in pairs), default=0.0)
    return [
        finding for earlier, later in pairs for finding in _service(earlier, later, seconds, oldest=oldest)
    ]


def _service(before: Probe, after: Probe, seconds: float, *, oldest: float) -> Iterator[Finding]:
    kind = "worker" if after.metrics.value("parley_sockets") is None else "gateway"
    findings = Findings(f"{kind} {after.address}")
    age = _age(after)
    if age < NEW_SECONDS < oldest:
        yield findings.warning(
            "started",
            f"It started {age:.0f} s ago, others run for {timedelta(seconds=round(oldest))}: if nobody "
            "started it, the end of its log before that says why it ended.",
        )
    yield from _since_start(findings, after, age)
    yield from _refusals(findings, before, after, seconds)
    yield from _delays(findings, before, after)


def _age(probe: Probe) -> float:
    return max(0.0, time.time() - (probe.metrics.value("process_start_time_seconds") or time.time()))


def _since_start(findings: Findings, after: Probe, age: float) -> Iterator[Finding]:
    since = f"in the {timedelta(seconds=round(age))} since it started"
    for kind, text in BUGS.items():
        if count := after.metrics.value("parley_errors_total", kind=kind):
            yield findings.warning("errors", f"{text} ({count:.0f} {since}).")
    if count := after.metrics.value("parley_unknown_kinds_total"):
        yield findings.error("kinds", f"{count:.0f} {KINDS} ({since}).")
    gaps = after.metrics.value("parley_gaps_total") or 0.0
    if gaps / max(1.0, age / HOUR) > GAPS_AN_HOUR:
        yield findings.warning(
            "gaps",
            f"Events of Redis were lost {gaps:.0f} times {since}, and read from MongoDB: look for what "
            "closes connections between Redis and it.",
        )


def _refusals(findings: Findings, before: Probe, after: Probe, seconds: float) -> Iterator[Finding]:
    for code, advice in REFUSALS.items():
        if refused := _growth(before, after, "parley_refusals_total", code=code):
            yield findings.warning(
                "refusals", f"It refuses {refused / seconds:.1f} requests/s as {code}: {advice}."
            )
    if failed := _growth(before, after, "parley_bus_failures_total"):
        yield findings.error(
            "bus", f"{failed / seconds:.1f} operations/s fail at Redis: see the findings on redis."
        )


def _delays(findings: Findings, before: Probe, after: Probe) -> Iterator[Finding]:
    earlier, later = buckets(before.metrics, DELIVERED), buckets(after.metrics, DELIVERED)
    slow = quantile(growth(earlier, later), 0.95)
    if slow is not None and slow > SLOW_SECONDS:
        yield findings.warning(
            "delivery",
            f"One message in twenty takes more than {slow:.1f} s to its readers: see the findings on "
            "partitions, speed and lag; else the gateways have too little processor time.",
        )
    behind = after.metrics.value("parley_search_lag_seconds") or 0.0
    if behind > SEARCH_SECONDS:
        yield findings.warning(
            "search",
            f"The search index is {behind:,.0f} s behind: a lock or a slow disk of MongoDB. Messages are "
            "not late by that.",
        )


def _growth(before: Probe, after: Probe, name: str, **labels: str) -> float:
    earlier, later = before.metrics.value(name, **labels), after.metrics.value(name, **labels)
    return max(0.0, (later or 0.0) - (earlier or 0.0))
