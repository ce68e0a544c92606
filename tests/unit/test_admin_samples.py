"""Rates and percentiles of the admin page, from the counters and histograms of services."""

import math

import pytest

from parley.cli.admin.samples import WINDOW_SECONDS, Sample, Samples
from parley.cli.histograms import quantile, total
from parley.cli.probes import Metrics

EXPOSED = """
parley_deliveries_total{event="newMessage"} 70.0
parley_deliveries_total{event="messageSent"} 30.0
parley_batch_records_sum{hop="publish"} 12.0
parley_batch_records_sum{hop="bus"} 99.0
process_start_time_seconds 1000.0
parley_accepted_to_stored_seconds_bucket{le="0.01"} 3.0
parley_accepted_to_stored_seconds_bucket{le="+Inf"} 4.0
"""


def sample(at: float, deliveries: float = 0.0, started: float = 1.0, fast: float = 0.0) -> Sample:
    buckets = {0.01: fast, math.inf: fast}
    return Sample(
        at=at,
        started=started,
        counters={"deliveries": deliveries},
        histograms={"storedSeconds": buckets, "deliveredSeconds": buckets},
    )


def test_a_sample_sums_the_labels_and_takes_only_those_that_it_names() -> None:
    taken = Sample.of(Metrics.parse(EXPOSED), 5.0)
    assert taken.counters == {"deliveries": 100.0, "accepted": 12.0}
    assert taken.histograms["storedSeconds"] == {0.01: 3.0, math.inf: 4.0}
    assert taken.histograms["deliveredSeconds"] == {}
    assert taken.started == 1000.0


def test_a_rate_is_the_growth_of_a_counter_by_second() -> None:
    samples = Samples()
    samples.add(sample(10.0, 100))
    assert samples.rates() == {}
    samples.add(sample(12.0, 150))
    assert samples.rates() == {"deliveries": 25.0}


def test_a_restarted_service_has_no_rate_until_it_has_two_samples() -> None:
    samples = Samples()
    samples.add(sample(10.0, 100))
    samples.add(sample(12.0, 5, started=2.0))
    assert samples.rates() == {}
    assert samples.growth("storedSeconds") == {}


def test_a_histogram_grows_within_the_window_only() -> None:
    samples = Samples()
    for second in range(0, 2 * int(WINDOW_SECONDS), 2):
        samples.add(sample(float(second), fast=10.0 * second))
    assert samples.growth("storedSeconds")[0.01] == pytest.approx(10 * WINDOW_SECONDS)


def test_histograms_are_added_by_their_bounds() -> None:
    assert total([{1.0: 2.0, math.inf: 3.0}, {1.0: 1.0, math.inf: 1.0}, {}]) == {1.0: 3.0, math.inf: 4.0}


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({0.1: 10.0, 0.2: 20.0, math.inf: 20.0}, 0.5, 0.1),
        ({0.1: 10.0, 0.2: 20.0, math.inf: 20.0}, 0.75, 0.15),
        ({0.1: 0.0, 0.2: 4.0, math.inf: 4.0}, 0.5, 0.15),
        ({0.1: 10.0, math.inf: 20.0}, 0.9, 0.1),
        ({0.1: 0.0, math.inf: 0.0}, 0.5, None),
        ({}, 0.5, None),
    ],
)
def test_a_quantile_is_interpolated_in_its_bucket(
    buckets: dict[float, float], share: float, expected: float | None
) -> None:
    found = quantile(buckets, share)
    assert found == (None if expected is None else pytest.approx(expected))
