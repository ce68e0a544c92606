"""A user's uploads of a day are bounded in bytes, and the storage keeps some space free."""

import pytest

from fakes.memory_upload_quotas import MemoryUploadQuotas
from parley.gateway.core.errors import Overloaded, RateLimited
from parley.gateway.services.upload_quota import UploadQuota

PER_DAY = 100


class Space:
    def __init__(self, free: float | None) -> None:
        self.free = free

    async def free_share(self) -> float | None:
        return self.free


def quota(free: float | None = None, quotas: MemoryUploadQuotas | None = None) -> UploadQuota:
    return UploadQuota(quotas or MemoryUploadQuotas(), Space(free), PER_DAY, 0.05)


async def test_uploads_past_the_quota_are_refused_until_tomorrow() -> None:
    uploads = quota()
    async with uploads.reserved("ann", 100) as usage:
        usage.received = 60

    with pytest.raises(RateLimited) as refused:
        async with uploads.reserved("ann", 50):
            pass

    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after <= 24 * 3_600
    async with uploads.reserved("ann", 40), uploads.reserved("bob", 100):
        pass


async def test_uploads_at_the_same_time_count_each_other() -> None:
    uploads = quota()
    async with uploads.reserved("ann", 60):
        with pytest.raises(RateLimited):
            async with uploads.reserved("ann", 60):
                pass


async def test_a_failed_upload_counts_what_it_has_received() -> None:
    quotas = MemoryUploadQuotas()

    async def fail() -> None:
        async with quota(quotas=quotas).reserved("ann", 80) as usage:
            usage.received = 30
            raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        await fail()

    assert list(quotas.used.values()) == [30]


async def test_uploads_are_refused_while_the_storage_is_nearly_full() -> None:
    uploads = quota(free=0.04)
    await uploads.refresh()

    with pytest.raises(Overloaded):
        async with uploads.reserved("ann", 1):
            pass


@pytest.mark.parametrize("free", [None, 0.06])
async def test_uploads_are_accepted_while_there_is_space_or_none_is_known(free: float | None) -> None:
    uploads = quota(free=free)
    await uploads.refresh()

    async with uploads.reserved("ann", 1):
        pass
