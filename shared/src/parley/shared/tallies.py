"""Counts and times of the message's path, for Prometheus: an increment costs 0.1 us, not 1 to 2.

Those of the client library lock, as any thread may count. Here only the event loop's thread does.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector

INFINITE = "+Inf"


class Counts(Collector):
    """A counter by one label; its values must be few.

    Args:
        name: The metric's name.
        documentation: The help text.
        label: The label's name.
    """

    def __init__(self, name: str, documentation: str, label: str) -> None:
        self.name, self._documentation, self._label = name, documentation, label
        self.of: defaultdict[str, int] = defaultdict(int)
        """The count of each value of the label: count by `counts.of[value] += 1`."""
        REGISTRY.register(self)

    def collect(self) -> Iterator[Metric]:
        """Return the metric with its present values."""
        family = CounterMetricFamily(self.name, self._documentation, labels=[self._label])
        for value, count in self.of.items():
            family.add_metric([value], count)
        yield family


class Times(Collector):
    """A histogram of seconds.

    Args:
        name: The metric's name.
        documentation: The help text.
        bounds: The upper bounds of the buckets, in seconds.
    """

    def __init__(self, name: str, documentation: str, bounds: Sequence[float]) -> None:
        self.name, self._documentation, self._bounds = name, documentation, bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        REGISTRY.register(self)

    def add(self, seconds: float) -> None:
        """Count one time."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterator[Metric]:
        """Return the metric with its present values."""
        names = [*map(str, self._bounds), INFINITE]
        buckets = list(zip(names, accumulate(self._counts), strict=True))
        family = HistogramMetricFamily(self.name, self._documentation)
        family.add_metric([], buckets, self._sum)
        yield family
