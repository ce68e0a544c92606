"""Counts and sizes of the message's path, for Prometheus: an increment costs 0.1 us, not 1 to 2.

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


class Buckets:
    """The counts of a histogram: of the values up to each bound, and of all others.

    Args:
        bounds: The upper bounds of the buckets.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def show(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Add the present counts to a metric."""
        names = [*map(str, self._bounds), INFINITE]
        family.add_metric(labels, list(zip(names, accumulate(self._counts), strict=True)), self._sum)


class Sizes(Buckets, Collector):
    """A histogram of seconds, bytes or counts.

    Args:
        name: The metric's name.
        documentation: The help text.
        bounds: The upper bounds of the buckets.
    """

    def __init__(self, name: str, documentation: str, bounds: Sequence[float]) -> None:
        super().__init__(bounds)
        self.name, self._documentation = name, documentation
        REGISTRY.register(self)

    def collect(self) -> Iterator[Metric]:
        """Return the metric with its present values."""
        family = HistogramMetricFamily(self.name, self._documentation)
        self.show(family, [])
        yield family


class SizesBy(Collector):
    """A histogram of seconds, bytes or counts by one label; its values must be few.

    Args:
        name: The metric's name.
        documentation: The help text.
        label: The label's name.
        bounds: The upper bounds of the buckets.
    """

    def __init__(self, name: str, documentation: str, label: str, bounds: Sequence[float]) -> None:
        self.name, self._documentation, self._label = name, documentation, label
        self.of: defaultdict[str, Buckets] = defaultdict(lambda: Buckets(bounds))
        """The buckets of each value of the label: count by `sizes.of[value].add(size)`."""
        REGISTRY.register(self)

    def collect(self) -> Iterator[Metric]:
        """Return the metric with its present values."""
        family = HistogramMetricFamily(self.name, self._documentation, labels=[self._label])
        for value, buckets in self.of.items():
            buckets.show(family, [value])
        yield family
