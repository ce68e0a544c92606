"""Metrics of the gateway: gauges that are read when they are scraped, and a counter of refusals."""

from collections.abc import Callable
from functools import cache

from prometheus_client import Counter, Gauge

from parley.gateway.core.errors import ChatError

bus_stale = Gauge("parley_bus_deaf", "1 while this gateway does not receive its own heartbeat by Redis.")
refusals = Counter(
    "parley_refusals_total", "Commands and connections of clients that were refused, by error code.", ["code"]
)
storage_free = Gauge(
    "parley_storage_free_ratio", "The share of MongoDB's disk that is free; 1 if that is not known."
)
held = Gauge("parley_held", "Objects that this gateway holds for its clients, by kind.", ["what"])

hop_delay = Gauge(
    "parley_hop_delay_seconds", "How long this gateway's work waits at a hop, seconds, by hop.", ["hop"]
)


def show(**sizes: Callable[[], int]) -> None:
    """Export sizes by kind, each as `parley_held{what="<kind>"}`."""
    for kind, size in sizes.items():
        held.labels(kind).set_function(size)


def show_delays(**delays: Callable[[], float]) -> None:
    """Export the delays of hops, each as `parley_hop_delay_seconds{hop="<hop>"}`."""
    for hop, seconds in delays.items():
        hop_delay.labels(hop).set_function(seconds)


def count(error: ChatError) -> ChatError:
    """Count an error that is sent to a client, and return it."""
    _refused(error.code).inc()
    return error


@cache
def _refused(code: str) -> Counter:
    return refusals.labels(code)
