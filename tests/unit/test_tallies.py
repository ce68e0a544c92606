"""Tallies are exported as Prometheus' own counters and histograms are."""

import uuid

from prometheus_client import REGISTRY

from parley.shared.tallies import Counts, Times


def name() -> str:
    return f"parley_test_{uuid.uuid4().hex}"


def sample(metric: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(metric, labels)


def test_a_count_is_exported_for_each_label() -> None:
    counts = Counts(f"{name()}_total", "Tests.", "event")
    counts.of["typing"] += 1
    counts.of["message"] += 10
    assert sample(counts.name, event="typing") == 1
    assert sample(counts.name, event="message") == 10
    assert sample(counts.name, event="other") is None


def test_times_are_exported_as_a_histogram_with_cumulative_buckets() -> None:
    times = Times(name(), "Tests.", (0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7):
        times.add(seconds)
    buckets = [sample(f"{times.name}_bucket", le=bound) for bound in ("0.1", "1.0", "+Inf")]
    assert buckets == [2, 3, 4]
    assert sample(f"{times.name}_count") == 4
    assert sample(f"{times.name}_sum") == 7.65
