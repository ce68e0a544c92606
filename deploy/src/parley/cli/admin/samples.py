"""Samples of a service's counters and histograms, and what two of them show: rates and percentiles."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from parley.cli.histograms import Buckets, buckets, growth
from parley.cli.probes import Metrics

COUNTERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "accepted": ("parley_batch_records_sum", {"hop": "publish"}),
    "stored": ("parley_batch_records_sum", {"hop": "persist"}),
    "events": ("parley_events_received_total", {}),
    "deliveries": ("parley_deliveries_total", {}),
    "connects": ("parley_connects_total", {"outcome": "connected"}),
    "refusals": ("parley_refusals_total", {}),
    "deadLetters": ("parley_dead_letters_total", {}),
    "processor": ("process_cpu_seconds_total", {}),
}
"""The counters of which rates are shown, by the name of the rate."""
HISTOGRAMS = {
    "storedSeconds": "parley_accepted_to_stored_seconds",
    "deliveredSeconds": "parley_accepted_to_delivered_seconds",
}
"""The histograms of which percentiles are shown."""
WINDOW_SECONDS = 30.0
"""Percentiles are of the messages of so long."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The counters and histograms of a service at one time, by the monotonic clock."""

    at: float
    started: float | None
    counters: Mapping[str, float]
    histograms: Mapping[str, Buckets]

    @classmethod
    def of(cls, metrics: Metrics, at: float) -> "Sample":
        """Take from metrics what rates and percentiles need."""
        values = {name: metrics.value(metric, **labels) for name, (metric, labels) in COUNTERS.items()}
        return cls(
            at=at,
            started=metrics.value("process_start_time_seconds"),
            counters={name: value for name, value in values.items() if value is not None},
            histograms={name: buckets(metrics, metric) for name, metric in HISTOGRAMS.items()},
        )


class Samples:
    """The samples of one service, as old as a window of percentiles."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def add(self, sample: Sample) -> None:
        """Add a sample; those of an earlier process are dropped, since its counters began elsewhere."""
        if self._samples and self._samples[-1].started != sample.started:
            self._samples.clear()
        self._samples.append(sample)
        while len(self._samples) > 2 and sample.at - self._samples[1].at >= WINDOW_SECONDS:
            self._samples.popleft()

    def rates(self) -> dict[str, float]:
        """Return the growth of each counter by second, between the last two samples."""
        if len(self._samples) < 2:
            return {}
        before, now = self._samples[-2], self._samples[-1]
        return {
            # A counter with labels appears with its first increment.
            name: max(0.0, value - before.counters.get(name, 0.0)) / (now.at - before.at)
            for name, value in now.counters.items()
        }

    def growth(self, histogram: str) -> Buckets:
        """Return how far the buckets of a histogram have grown in the window."""
        if len(self._samples) < 2:
            return {}
        before, now = self._samples[0].histograms[histogram], self._samples[-1].histograms[histogram]
        return growth(before, now)
