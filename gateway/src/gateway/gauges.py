"""Gauges of what this node holds of its clients, read when they are asked for."""

from collections.abc import Callable

from prometheus_client import Gauge

held = Gauge("parley_held", "What this gateway holds of its clients.", ["what"])


def show(**sizes: Callable[[], int]) -> None:
    """Have these sizes among the metrics, each as `parley_held{what="…"}`."""
    for what, size in sizes.items():
        held.labels(what).set_function(size)
