"""The figures of a replay: counts, rates and delays."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` (0 to 1) of the values do not exceed; 0.0 of none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def rates(messages: int, deliveries: int, seconds: float) -> str:
    """Return the numbers of messages and deliveries, their time and their rates, as text."""
    span = max(seconds, 1e-9)
    return (
        f"{messages:,} messages and {deliveries:,} deliveries in {seconds:.1f} s: "
        f"{messages / span:,.0f} messages/s, {deliveries / span:,.0f} deliveries/s"
    )


def latency(title: str, delays: Sequence[float]) -> str:
    """Return the median and the 99th percentile of delays (seconds) as text, in ms."""
    return (
        f"{title}: p50 {1000 * percentile(delays, 0.5):.1f} ms, p99 {1000 * percentile(delays, 0.99):.1f} ms"
    )
