"""The quota of uploads: bytes of one user and day, and space that the storage keeps free."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from parley.gateway.core.errors import Overloaded, RateLimited, Unavailable
from parley.gateway.core.ports import StorageSpace, UploadQuotas
from parley.shared.model import now

FULL_RETRY_SECONDS = 60.0


@dataclass(slots=True)
class Usage:
    """The bytes that an upload has taken of its user's quota; `received` is to be raised as they arrive."""

    received: int = 0


class UploadQuota:
    """Counts the bytes of each user's uploads of a day (UTC), at all gateways together.

    Args:
        quotas: Keeps the counts.
        space: Knows how much of the storage is free.
        per_day: Bytes of one user and day, at most.
        min_free_share: The share of the storage below which uploads are refused.
    """

    def __init__(
        self, quotas: UploadQuotas, space: StorageSpace, per_day: int, min_free_share: float
    ) -> None:
        self._quotas = quotas
        self._space = space
        self._per_day = per_day
        self._min_free_share = min_free_share
        self.free_share = 1.0
        """The share of the storage that was free lately; 1 if that is not known."""

    async def refresh(self) -> None:
        """Read how much of the storage is free. Raises `Unavailable`."""
        found = await self._space.free_share()
        self.free_share = found if found is not None else 1.0

    @asynccontextmanager
    async def reserved(self, user_id: str, size: int) -> AsyncIterator[Usage]:
        """Reserve bytes while an upload runs; count afterwards what it has really received.

        Raises:
            RateLimited: The user's quota of the day does not suffice.
            Overloaded: The storage is nearly full.
        """
        if self.free_share < self._min_free_share:
            raise Overloaded(
                "The storage is nearly full; uploads are refused.", retry_after=FULL_RETRY_SECONDS
            )
        day = f"{now():%Y-%m-%d}"
        if not await self._quotas.reserve(user_id, day, size, self._per_day):
            raise RateLimited("Your uploads of today have reached the limit.", retry_after=_until_tomorrow())
        usage = Usage()
        try:
            yield usage
        finally:
            # If the database is away, the reservation stays until the day is over.
            with suppress(Unavailable):
                await self._quotas.settle(user_id, day, usage.received - size)


def _until_tomorrow() -> float:
    at = now()
    tomorrow = (at + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (tomorrow - at).total_seconds()
