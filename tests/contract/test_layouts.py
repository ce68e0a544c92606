"""The stored layout of the partitions, and the number that the broker keeps."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aio_pika.abc import AbstractConnection

from parley.cli.backup import loading
from parley.cli.doctor import rabbitmq_server
from parley.persistence_worker.ownership import Fix
from parley.persistence_worker.partitions.follower import LayoutFollower
from parley.persistence_worker.settings import Settings
from parley.shared import amqp, layouts, partitions
from parley.shared.layouts import CLOSING, OPEN, Layout, LayoutDiffers, Layouts, Retired
from parley.shared.mongo import Database
from parley.shared.partitions import (
    FIRST_COUNT,
    Partitions,
    PartitionsDiffer,
    count_in_use,
    fix_count,
    replace_count,
)
from parley.shared.settings import StartupError
from parley.stack import Stack


@pytest.fixture
async def broker(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AbstractConnection]:
    """A connection to a broker that keeps no number under the name in use."""
    own = f"parley.test.{uuid.uuid4().hex[:8]}"
    for name in ("EXCHANGE", "COUNT"):
        monkeypatch.setattr(partitions, name, f"{own}.{name.lower()}")
    connection = await amqp.connect(stack.rabbitmq_url, name="test", heartbeat=10)
    yield connection
    await (await connection.channel()).exchange_delete(partitions.COUNT)
    await connection.close()


@pytest.fixture
async def stored(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Layouts]:
    """A layout that no service uses."""
    monkeypatch.setattr(layouts, "LAYOUTS", f"layouts_{uuid.uuid4().hex[:8]}")
    yield Layouts(database)
    await database.drop_collection(layouts.LAYOUTS)


async def start(stack: Stack, stored: Layouts, count: int | None) -> Layout:
    """Do what a service with this setting does at its start."""
    settings: Any = Settings(rabbitmq_url=stack.rabbitmq_url, partitions=count)
    return await stored.check(settings, asyncio.Event(), name="test")


async def read(stored: Layouts) -> Layout:
    layout = await stored.read()
    assert layout is not None
    return layout


async def change(stored: Layouts, count: int) -> Layout:
    """Take the steps of a change to the moment in which nothing is accepted."""
    await stored.ask_for(count)
    await stored.begin(await read(stored))
    await stored.close(await read(stored))
    return await read(stored)


async def test_the_first_layout_is_that_of_the_settings(
    stack: Stack, stored: Layouts, broker: AbstractConnection
) -> None:
    layout = await start(stack, stored, 4)
    assert (layout.current, layout.phase) == (Partitions(4), OPEN)
    assert await stored.read() is None

    for _ in range(2):
        await stored.create(4)
    assert (await start(stack, stored, 4)).current == Partitions(4)


async def test_a_service_without_the_setting_takes_the_number_in_use(
    stack: Stack, stored: Layouts, broker: AbstractConnection
) -> None:
    assert (await start(stack, stored, None)).current == Partitions(FIRST_COUNT)
    await replace_count(broker, Partitions(8))
    # The broker has the number of another service, but no worker has stored it yet.
    assert (await start(stack, stored, None)).current == Partitions(8)

    await stored.create(8)
    assert (await start(stack, stored, None)).current == Partitions(8)
    await stored.open_next(await change(stored, 6))
    await replace_count(broker, Partitions(6, 2))
    assert (await start(stack, stored, None)).current == Partitions(6, 2)


async def test_a_service_without_the_setting_waits_for_a_broker_that_may_keep_the_number(
    stack: Stack, stored: Layouts, broker: AbstractConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fix_count(broker, Partitions(8))
    connect, refusals = amqp.connect, [ConnectionError("RabbitMQ is away")]

    async def later(*args: Any, **options: Any) -> AbstractConnection:
        if refusals:
            raise refusals.pop()
        return await connect(*args, **options)

    monkeypatch.setattr(amqp, "connect", later)
    monkeypatch.setattr(layouts, "READ_SECONDS", 0.01)

    assert (await start(stack, stored, None)).current == Partitions(8)


@pytest.mark.parametrize("number_of_one", [None, 5])
async def test_services_that_start_at_once_agree_on_one_number(
    stack: Stack, stored: Layouts, broker: AbstractConnection, number_of_one: int | None
) -> None:
    settings = (None, None, number_of_one, None)
    started = await asyncio.gather(
        *(start(stack, stored, count) for count in settings), return_exceptions=True
    )

    layouts_found = [each for each in started if isinstance(each, Layout)]
    in_use = await count_in_use(broker, Partitions(FIRST_COUNT))
    assert {layout.current for layout in layouts_found} == {in_use}
    # Only the service that was given another number than the first one has fixed may be refused.
    refused = [each for each in started if not isinstance(each, Layout)]
    assert all(isinstance(each, PartitionsDiffer) for each in refused), refused
    assert len(refused) == (number_of_one not in (None, in_use.count))


async def test_a_worker_declares_no_queues_for_its_own_number_once_another_is_stored(
    stored: Layouts, broker: AbstractConnection
) -> None:
    fixes: list[Fix] = []

    def make_ownership(_partitions: Partitions, fix: Fix) -> Any:
        fixes.append(fix)
        return IdleOwnership()

    mover: Any = None
    follower = LayoutFollower(stored, Partitions(5), make_ownership, mover)
    await follower._follow()
    # RabbitMQ was away until another worker, which was given no number, came first.
    await fix_count(broker, Partitions(FIRST_COUNT))
    await stored.create(FIRST_COUNT)
    await follower._read()

    with pytest.raises(PartitionsDiffer, match="PARTITIONS is 5, but the queues in RabbitMQ are for 2"):
        await fixes[0](broker)

    await follower._follow()
    await fixes[1](broker)
    await follower._end(Partitions(FIRST_COUNT))


class IdleOwnership:
    """An ownership that holds nothing."""

    settled, held = False, ()

    def __init__(self) -> None:
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()


async def test_a_service_without_the_setting_counts_the_queues_of_version_0_1_0(
    stack: Stack, stored: Layouts, broker: AbstractConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DEAD_LETTERS", "DEAD_LETTER_QUEUE"):
        monkeypatch.setattr(partitions, name, f"{partitions.EXCHANGE}.{name.lower()}")
    channel = await broker.channel()
    await partitions.declare(channel, Partitions(3))
    try:
        assert (await start(stack, stored, None)).current == Partitions(3)
    finally:
        for queue in (*Partitions(3).queues, partitions.DEAD_LETTER_QUEUE):
            await channel.queue_delete(queue)
        for exchange in (partitions.EXCHANGE, partitions.DEAD_LETTERS):
            await channel.exchange_delete(exchange)


async def test_the_numbers_of_before_do_not_include_one_that_nobody_has_set(
    stack: Stack, stored: Layouts, broker: AbstractConnection
) -> None:
    await replace_count(broker, Partitions(6, 3))

    assert (await start(stack, stored, None)).current == Partitions(6, 3)

    assert (await read(stored)).counts == {6}


async def test_the_broker_s_number_is_found_without_the_database(broker: AbstractConnection) -> None:
    assert await count_in_use(broker, Partitions(2)) == Partitions(2)
    await fix_count(broker, Partitions(8))
    for asked in (Partitions(2), Partitions(8)):
        assert await count_in_use(broker, asked) == Partitions(8)
    await replace_count(broker, Partitions(6, 2))
    assert await count_in_use(broker, Partitions(2)) == Partitions(6, 2)


async def test_a_superseded_number_starts_and_one_that_never_was_does_not(
    stack: Stack, stored: Layouts, broker: AbstractConnection
) -> None:
    await stored.create(4)
    await stored.open_next(await change(stored, 6))
    await replace_count(broker, Partitions(6, 2))

    for count in (4, 6):
        assert (await start(stack, stored, count)).current == Partitions(6, 2)
    with pytest.raises(StartupError, match="PARTITIONS is 5, but the stored number of partitions is 6: set"):
        await start(stack, stored, 5)


async def test_only_the_first_of_two_workers_that_take_a_step_changes_the_layout(stored: Layouts) -> None:
    await stored.create(4)
    closing = await change(stored, 6)

    await asyncio.gather(*(stored.open_next(closing) for _ in range(3)))

    opened = await read(stored)
    assert (opened.version, opened.current, opened.phase) == (closing.version + 1, Partitions(6, 2), OPEN)
    assert opened.retired == (Retired(Partitions(4), is_consumed=True),)
    assert (opened.wanted, opened.next) == (None, None)
    assert opened.consumed == [Partitions(4), Partitions(6, 2)]


async def test_a_late_answer_to_an_earlier_phase_does_not_count(stored: Layouts) -> None:
    await stored.create(4)
    await stored.ask_for(6)
    await stored.begin(await read(stored))
    preparing = await read(stored)
    await stored.answer(preparing, "g1")
    await stored.close(await read(stored))

    await stored.answer(preparing, "g2")

    closing = await read(stored)
    assert (closing.phase, closing.gateways, closing.answered) == (CLOSING, frozenset({"g1"}), frozenset())


async def test_a_database_restored_to_before_a_change_takes_the_epoch_of_the_broker(
    stack: Stack, stored: Layouts, broker: AbstractConnection
) -> None:
    await stored.create(4)
    await replace_count(broker, Partitions(6, 3))

    layout = await start(stack, stored, 4)

    assert layout.current == Partitions(6, 3)
    assert layout.consumed == [Partitions(4), Partitions(6, 3)]
    assert (await start(stack, stored, 6)).current == Partitions(6, 3)


async def test_an_emptied_database_takes_the_epoch_of_the_broker(
    stack: Stack, stored: Layouts, broker: AbstractConnection
) -> None:
    await replace_count(broker, Partitions(6, 3))

    assert (await start(stack, stored, 4)).current == Partitions(6, 3)


async def test_a_broker_of_an_earlier_epoch_than_the_stored_one_is_refused(
    stack: Stack, stored: Layouts, broker: AbstractConnection
) -> None:
    await stored.create(4)
    await stored.open_next(await change(stored, 6))
    await fix_count(broker, Partitions(4))

    for setting in (6, None):
        with pytest.raises(
            LayoutDiffers,
            match=r"stored number of partitions is 6 \(epoch 2\), but .* are for 4 \(epoch 1\): ",
        ):
            await start(stack, stored, setting)


@pytest.mark.parametrize("setting", [4, 2, None])
async def test_a_stored_number_of_another_system_is_named_whatever_the_setting_is(
    stack: Stack, stored: Layouts, broker: AbstractConnection, setting: int | None
) -> None:
    await stored.create(4)
    await fix_count(broker, Partitions(2))

    with pytest.raises(LayoutDiffers, match=r"stored number of partitions is 4 .* RabbitMQ are for 2 "):
        await start(stack, stored, setting)


async def test_a_restored_number_gives_way_to_that_of_the_broker(
    stack: Stack,
    stored: Layouts,
    database: Database,
    broker: AbstractConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loading, "LAYOUTS", layouts.LAYOUTS)
    await stored.create(8)
    await loading.prefer_broker_partitions(database, stack.rabbitmq_url)
    assert (await read(stored)).current == Partitions(8), (
        "a broker that keeps no number takes the restored one"
    )

    await fix_count(broker, Partitions(2))
    await loading.prefer_broker_partitions(database, stack.rabbitmq_url)
    assert await stored.read() is None
    assert (await start(stack, stored, None)).current == Partitions(2)


async def test_a_restored_number_stays_where_the_broker_has_a_later_epoch_or_is_away(
    stack: Stack, stored: Layouts, database: Database, broker: AbstractConnection
) -> None:
    await stored.create(8)
    await fix_count(broker, Partitions(2))
    await loading.prefer_broker_partitions(database, "amqp://127.0.0.1:1/")
    assert (await read(stored)).current == Partitions(8)

    # The queues of the stored number may hold records: services go on from it, and consume them.
    await replace_count(broker, Partitions(6, 2))
    await loading.prefer_broker_partitions(database, stack.rabbitmq_url)
    layout = await start(stack, stored, None)
    assert layout.consumed == [Partitions(8), Partitions(6, 2)]


async def test_the_doctor_sets_no_number_of_partitions(broker: AbstractConnection) -> None:
    assert (await rabbitmq_server._count(broker, Layout(current=Partitions(2)), None)).level == "ok"
    assert not await amqp.has_exchange(broker, partitions.COUNT)

    await fix_count(broker, Partitions(4))
    of_settings, stored_one = Layout(current=Partitions(2)), Layout(current=Partitions(2), version=1)
    for layout, words in ((of_settings, "PARTITIONS is 2, but"), (stored_one, "The stored number of")):
        finding = await rabbitmq_server._count(broker, layout, None)
        assert finding.level == "error"
        assert finding.text.startswith(words)

    await replace_count(broker, Partitions(4, 2))
    assert (await rabbitmq_server._count(broker, stored_one, None)).level == "warning"


async def test_a_service_without_epochs_never_finds_its_number_in_a_later_one(
    broker: AbstractConnection,
) -> None:
    await fix_count(broker, Partitions(6, 2))

    with pytest.raises(PartitionsDiffer) as refused:
        await fix_count(broker, Partitions(6))
    assert refused.value.found == Partitions(6, 2)


async def test_the_number_of_the_next_epoch_passes_during_a_change(broker: AbstractConnection) -> None:
    await fix_count(broker, Partitions(4))
    await replace_count(broker, Partitions(6, 2))

    await fix_count(broker, Partitions(4), Partitions(6, 2))
