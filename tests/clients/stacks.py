"""Settings that the stacks of tests have in common."""

from parley.shared.partitions import Partitions

PARTITIONS = Partitions(8)
"""More than at a first start without the setting: each of two or three workers holds several."""
SETTINGS = {"RATE_LIMITS": "off", "PARTITIONS": str(PARTITIONS.count)}
"""Without rate limits: all tests come from one address, and some users send a thousand messages."""
