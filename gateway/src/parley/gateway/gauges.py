"""Metrics of the gateway: gauges that are read when they are scraped, and a counter of refusals."""

from collections.abc import Callable

from prometheus_client import Counter, Gauge

from parley.gateway.core.errors import ChatError

bus_deaf = Gauge("parley_bus_deaf", "1 while this gateway does not hear its own heartbeat on Redis.")
refusals = Counter("parley_refusals_total", "What clients were refused.", ["code"])
held = Gauge("parley_held", "What this gateway holds of its clients.", ["what"])


def show(**sizes: Callable[[], int]) -> None:
    """Have these sizes among the metrics, each as `parley_held{what="…"}`."""
    for what, size in sizes.items():
        held.labels(what).set_function(size)


def count(error: ChatError) -> ChatError:
    """Count an error that a client is told of; gives it back."""
    refusals.labels(error.code).inc()
    return error
