"""Tallies are exported as Prometheus' own counters and histograms are."""

import uuid

from prometheus_client import REGISTRY

from parley.shared.tallies import Counts, Sizes, SizesBy


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
    times = Sizes(name(), "Tests.", (0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7):
        times.add(seconds)
    buckets = [sample(f"{times.name}_bucket", le=bound) for bound in ("0.1", "1.0", "+Inf")]
    assert buckets == [2, 3, 4]
    assert sample(f"{times.name}_count") == 4
    assert sample(f"{times.name}_sum") == 7.65


def test_times_by_a_label_are_a_histogram_for_each_of_its_values() -> None:
    times = SizesBy(name(), "Tests.", "hop", (0.1, 1.0))
    kept = times.of["bus"]
    kept.add(0.05)
    times.of["publish"].add(7)
    kept.add(0.5)
    assert [sample(f"{times.name}_bucket", hop="bus", le=bound) for bound in ("0.1", "1.0", "+Inf")] == [
        1,
        2,
        2,
    ]
    assert [sample(f"{times.name}_count", hop=hop) for hop in ("bus", "publish")] == [2, 1]
    assert sample(f"{times.name}_sum", hop="bus") == 0.55
