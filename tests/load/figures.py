"""The figures of a replay: how much, how fast, how long it took."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of them do not exceed; 0.0 of nothing."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def rates(messages: int, deliveries: int, seconds: float) -> str:
    """How many messages and deliveries, in which time, and how many of them a second."""
    span = max(seconds, 1e-9)
    return (
        f"{messages:,} messages and {deliveries:,} deliveries in {seconds:.1f} s: "
        f"{messages / span:,.0f} messages/s, {deliveries / span:,.0f} deliveries/s"
    )


def latency(what: str, delays: Sequence[float]) -> str:
    """The middle and the slow end of delays given in seconds, in ms."""
    return (
        f"{what}: p50 {1000 * percentile(delays, 0.5):.1f} ms, p99 {1000 * percentile(delays, 0.99):.1f} ms"
    )
