"""Histograms of delays that add up over processes and seconds."""

import math
from collections import Counter
from collections.abc import Mapping

PER_SECOND = 20_000
"""Delays are kept in units of 50 us."""

Delays = Mapping[int, int]
"""The number of delays by their length in units of `1 / PER_SECOND` seconds."""


def percentile(delays: Delays, share: float) -> float:
    """Return the seconds that at least `share` (0 to 1) of the delays do not exceed; 0.0 of none."""
    wanted = max(1, math.ceil(share * sum(delays.values())))
    for length in sorted(delays):
        wanted -= delays[length]
        if wanted <= 0:
            # The upper edge of the unit, so that no percentile is better than what was measured.
            return (length + 1) / PER_SECOND
    return 0.0


def of_seconds(*seconds: float) -> Counter[int]:
    """Return the histogram of some delays."""
    return Counter(int(each * PER_SECOND) for each in seconds)
