"""Rate limits: token buckets by user, socket or address."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Literal

from parley.gateway.core.errors import RateLimited
from parley.gateway.state.bounded_dict import BoundedDict

REMEMBERED_BUCKETS = 50_000
FORGOTTEN_AT_ONCE = 500

RateKind = Literal[
    "sends",
    "typing",
    "joins",
    "creates",
    "reads",
    "requests",
    "rooms",
    "events",
    "connects",
    "session_bytes",
    "address_bytes",
]
"""The kinds of limits: by user, by socket and by address."""

BYTES_PER_TOKEN = 4096
WRONG_COST = 20
"""Tokens that an invalid request costs beyond its size: a user who sends nothing else is slowed down."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A sustained rate in tokens a second, and a burst in tokens."""

    per_second: float
    burst: int


def size_cost(size: int) -> int:
    """Return the tokens that a request of this many bytes costs."""
    return 1 + size // BYTES_PER_TOKEN


class Buckets:
    """One token bucket for each key; the least recently used are evicted, which fills them."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._slack = (rate.burst - 1) / rate.per_second
        self._clock = clock
        self._full_at: BoundedDict[str, float] = BoundedDict(REMEMBERED_BUCKETS)

    def __len__(self) -> int:
        return len(self._full_at)

    def try_take(self, key: str, tokens: int = 1) -> bool:
        """Take tokens if the bucket has one; the others are owed. Returns whether they were taken.

        A bucket is stored as the moment at which it would be full again (GCRA, the virtual scheduling
        algorithm of ITU-T I.371): one number, which needs no refill.
        """
        now, full_at = self._clock(), self._full_at.get(key) or 0.0
        if full_at - now > self._slack:
            return False
        self._full_at.put(key, max(now, full_at) + tokens / self._rate.per_second)
        return True

    def owe(self, key: str, tokens: int) -> None:
        """Take tokens whether the bucket has them or not."""
        full_at = max(self._clock(), self._full_at.get(key) or 0.0)
        self._full_at.put(key, full_at + tokens / self._rate.per_second)

    def retry_after(self, key: str) -> float:
        """Return the seconds until the bucket has a token; 0 if it has one."""
        empty_for = (self._full_at.get(key) or 0.0) - self._clock()
        return max(0.0, empty_for - self._slack)

    def forget(self, key: str) -> None:
        """Forget the bucket of a key that is not used again."""
        self._full_at.discard(key)

    def forget_full(self, most: int) -> None:
        """Forget the full ones, which are as new ones are, of the `most` least recently used buckets."""
        now = self._clock()
        for key in [key for key, full_at in self._full_at.oldest(most) if full_at <= now]:
            self._full_at.discard(key)


class Rates:
    """The buckets of each kind; a kind without a rate is not limited."""

    def __init__(self, rates: Mapping[RateKind, Rate], clock: Callable[[], float] = monotonic) -> None:
        self._buckets = {kind: Buckets(rate, clock) for kind, rate in rates.items()}

    def __len__(self) -> int:
        """Return the number of buckets in memory."""
        return sum(map(len, self._buckets.values()))

    def count(self, kind: RateKind, key: str, tokens: int = 1) -> None:
        """Count something against a rate for one user, socket or address. Raises `RateLimited`."""
        if (seconds := self.try_count(kind, key, tokens)) > 0:
            raise RateLimited("Rate limit exceeded.", retry_after=seconds)

    def try_count(self, kind: RateKind, key: str, tokens: int = 1) -> float:
        """Count something against a rate; return 0, or the seconds after which it could be counted."""
        buckets = self._buckets.get(kind)
        return 0.0 if buckets is None or buckets.try_take(key, tokens) else buckets.retry_after(key)

    def owe(self, kind: RateKind, key: str, tokens: int) -> None:
        """Count something that has happened already."""
        buckets = self._buckets.get(kind)
        if buckets is not None:
            buckets.owe(key, tokens)

    def forget(self, kind: RateKind, key: str) -> None:
        """Forget a socket that has gone."""
        buckets = self._buckets.get(kind)
        if buckets is not None:
            buckets.forget(key)

    async def forget_full(self) -> None:
        """Forget buckets that are full, a part at each call."""
        for buckets in self._buckets.values():
            buckets.forget_full(FORGOTTEN_AT_ONCE)
