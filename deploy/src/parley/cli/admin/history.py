"""The figures of the last minutes, a point for each look, which the page draws."""

from collections import deque
from collections.abc import Sequence
from time import time
from typing import Any

from parley.cli.admin.nodes import Node
from parley.cli.admin.samples import HISTOGRAMS
from parley.cli.histograms import quantile, total

KEPT_SECONDS = 300.0
SHARES = {"P50": 0.5, "P95": 0.95, "P99": 0.99}
TRANSPORTS = ("websocket", "polling")

Fields = dict[str, Any]


class History:
    """The points of the last five minutes; there is none for a time at which nobody looked."""

    def __init__(self) -> None:
        self._points: deque[Fields] = deque()

    def add(self, point: Fields) -> None:
        """Add the newest point, and drop the oldest ones."""
        self._points.append(point)
        while point["at"] - self._points[0]["at"] > KEPT_SECONDS:
            self._points.popleft()

    def since(self, at: float) -> list[Fields]:
        """Return the points after a time, in Unix time."""
        return [point for point in self._points if point["at"] > at]


def point(gateways: Sequence[Node], workers: Sequence[Node], broker: Fields) -> Fields:
    """Return the figures of now, of all nodes that have answered lately; None where none has.

    Args:
        gateways: The gateways.
        workers: The workers.
        broker: The last look at RabbitMQ.
    """
    answering = [node for node in gateways if node.is_known]
    working = [node for node in workers if node.is_known]
    waiting = [partition["waiting"] or 0 for partition in broker.get("partitions", ())]
    return {
        "at": round(time(), 3),
        **{transport: _sum(answering, "parley_sockets", transport=transport) for transport in TRANSPORTS},
        **{name: _rate(answering, name) for name in ("accepted", "events", "deliveries", "refusals")},
        "stored": _rate(working, "stored"),
        **_percentiles(answering),
        "waiting": sum(waiting) if waiting else None,
        "lagSeconds": _most(working, "parley_lag_seconds"),
        "loopSeconds": _most(answering, "parley_hop_delay_seconds", hop="loop"),
    }


def _percentiles(gateways: Sequence[Node]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for histogram in HISTOGRAMS:
        buckets = total(node.samples.growth(histogram) for node in gateways)
        for name, share in SHARES.items():
            value = quantile(buckets, share)
            found[histogram.removesuffix("Seconds") + name] = None if value is None else round(value, 5)
    return found


def _values(nodes: Sequence[Node], metric: str, **labels: str) -> list[float]:
    values = [node.probe.metrics.value(metric, **labels) for node in nodes if node.probe is not None]
    return [value for value in values if value is not None]


def _sum(nodes: Sequence[Node], metric: str, **labels: str) -> float | None:
    values = _values(nodes, metric, **labels)
    return sum(values) if values else None


def _most(nodes: Sequence[Node], metric: str, **labels: str) -> float | None:
    values = _values(nodes, metric, **labels)
    return round(max(values), 4) if values else None


def _rate(nodes: Sequence[Node], name: str) -> float | None:
    """Return the sum of a rate; None where no node has two samples yet."""
    rates = [rates[name] for node in nodes if name in (rates := node.samples.rates())]
    return round(sum(rates), 2) if rates else None
