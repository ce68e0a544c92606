"""Histograms of services: their growth, their sum, and their quantiles."""

from collections.abc import Iterable, Mapping, Sequence

from parley.cli.probes import Metrics

Buckets = Mapping[float, float]
"""The number of values up to each bound of a histogram."""


def buckets(metrics: Metrics, histogram: str) -> Buckets:
    """Return the buckets of a histogram; empty if the service does not have it."""
    return {float(bound): count for bound, count in metrics.by(f"{histogram}_bucket", "le").items()}


def growth(before: Buckets, now: Buckets) -> Buckets:
    """Return how far the buckets of a histogram have grown between two readings."""
    return {bound: count - before.get(bound, 0.0) for bound, count in now.items()}


def total(parts: Iterable[Buckets]) -> Buckets:
    """Return the sum of histograms with the same bounds."""
    found: dict[float, float] = {}
    for part in parts:
        for bound, count in part.items():
            found[bound] = found.get(bound, 0.0) + count
    return found


def quantile(buckets: Buckets, share: float) -> float | None:
    """Estimate a quantile of a histogram, as Prometheus' `histogram_quantile` does.

    Args:
        buckets: The number of values up to each bound.
        share: The share of the values that are below it, from 0 to 1.

    Returns:
        The quantile, the last finite bound if it is above that, and None without values.
    """
    bounds: Sequence[float] = sorted(buckets)
    if not bounds or not buckets[bounds[-1]]:
        return None
    rank, lower, below = share * buckets[bounds[-1]], 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank and bound != float("inf"):
            return lower + (bound - lower) * (rank - below) / max(buckets[bound] - below, 1e-9)
        if bound != float("inf"):
            lower, below = bound, buckets[bound]
    return lower
