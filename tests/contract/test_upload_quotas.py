"""The counts of uploads, by the fake and by MongoDB alike."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from fakes.memory_upload_quotas import MemoryUploadQuotas
from parley.gateway.adapters.mongo.upload_quotas import MongoStorageSpace, MongoUploadQuotas
from parley.gateway.core.ports import UploadQuotas

TODAY, TOMORROW = "2026-01-01", "2026-01-02"


@pytest.fixture(params=["memory", "mongo"])
def quotas(request: pytest.FixtureRequest, database: Any) -> UploadQuotas:
    make: Callable[[], UploadQuotas] = {
        "memory": MemoryUploadQuotas,
        "mongo": lambda: MongoUploadQuotas(database),
    }[request.param]
    return make()


@pytest.fixture
def ann() -> str:
    return f"ann:{uuid4()}"


async def test_bytes_are_counted_for_each_user_and_day(quotas: UploadQuotas, ann: str) -> None:
    assert await quotas.reserve(ann, TODAY, 60, 100)
    assert not await quotas.reserve(ann, TODAY, 41, 100)
    assert await quotas.reserve(ann, TODAY, 40, 100)
    assert not await quotas.reserve(ann, TODAY, 1, 100)
    assert await quotas.reserve(ann, TOMORROW, 100, 100)
    assert await quotas.reserve(f"{ann}:other", TODAY, 100, 100)


async def test_a_reservation_is_corrected_afterwards(quotas: UploadQuotas, ann: str) -> None:
    assert await quotas.reserve(ann, TODAY, 100, 100)

    await quotas.settle(ann, TODAY, -70)

    assert await quotas.reserve(ann, TODAY, 70, 100)
    assert not await quotas.reserve(ann, TODAY, 1, 100)


async def test_more_than_the_whole_quota_is_never_reserved(quotas: UploadQuotas, ann: str) -> None:
    assert not await quotas.reserve(ann, TODAY, 101, 100)


async def test_reservations_at_the_same_time_count_each_other(quotas: UploadQuotas, ann: str) -> None:
    reserved = await asyncio.gather(*(quotas.reserve(ann, TODAY, 30, 100) for _ in range(10)))

    assert sum(reserved) == 3


async def test_the_space_of_the_server_s_disk_is_known(database: Any) -> None:
    free = await MongoStorageSpace(database).free_share()

    assert free is not None
    assert 0 < free < 1
