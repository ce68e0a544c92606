"""The checks of RabbitMQ, over AMQP alone: the services' user has no right to its management interface."""

import uuid
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

from aio_pika import ExchangeType, Message
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AMQPError, ChannelPreconditionFailed

from parley.cli.broker import queue_state, server_version
from parley.cli.doctor.finding import Finding, Findings
from parley.cli.doctor.redundancy import rabbitmq_nodes
from parley.cli.faults import FAULTS, is_denied, sentence
from parley.cli.owners import Owners, watch_owners
from parley.shared import amqp, partitions
from parley.shared.amqp import ANSWER_SECONDS
from parley.shared.layouts import Layout, LayoutDiffers
from parley.shared.partitions import (
    COUNT,
    DEAD_LETTER_LIMIT,
    DEAD_LETTER_QUEUE,
    DEAD_LETTERS,
    HEARTBEAT_SECONDS,
    Partitions,
    PartitionsDiffer,
    count_in_use,
    queue_name,
)
from parley.shared.settings import StartupError

LEAST_VERSION = (3, 10)
TAKE_SECONDS = 2.0
MANY_RECORDS = 10_000
OLD_QUEUES = {DEAD_LETTERS: "dead letters", partitions.WORKERS: "the count of workers"}

findings = Findings("rabbitmq")


async def check(url: str, layout: Layout, setting: int | None) -> AsyncIterator[Finding]:
    """Yield the findings; stop where the server cannot be used at all."""
    try:
        connection = await amqp.connect(url, name="doctor", heartbeat=HEARTBEAT_SECONDS)
    except FAULTS as error:
        yield findings.error("reachable", sentence(error, "RabbitMQ", "RABBITMQ_URL"))
        return
    try:
        async for finding in _findings(connection, layout, setting):
            yield finding
        for finding in await rabbitmq_nodes(url):
            yield finding
    except FAULTS as error:
        yield findings.error("reachable", sentence(error, "RabbitMQ", "RABBITMQ_URL"))
    finally:
        await amqp.close(connection)


async def _findings(
    connection: AbstractConnection, layout: Layout, setting: int | None
) -> AsyncIterator[Finding]:
    parts = layout.current
    yield findings.ok("reachable", f"The node {amqp.node_of(connection)} answers.")
    yield _version(connection)
    taken = await _takes(connection)
    yield taken
    if taken.check == "alarm":
        # The node reads nothing more from a connection that has published during an alarm.
        return
    if not await amqp.has_exchange(connection, COUNT):
        yield findings.warning("partitions", "There are no queues yet: start a worker, which declares them.")
        return
    count = await _count(connection, layout, setting)
    yield count
    if count.level != "ok":
        return
    async for finding in _queues(connection, parts):
        yield finding
    yield _owned(await watch_owners(connection, parts.epoch), parts)
    yield await _dead_letters(connection)


def _version(connection: Any) -> Finding:
    version = server_version(connection)
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < LEAST_VERSION:
        return findings.error("version", f"Its version is {version}: 3.10 or newer is needed.")
    return findings.ok("version", f"Its version is {version}.")


async def _takes(connection: AbstractConnection) -> Finding:
    """Have the node confirm a message to a queue of this connection: an alarm of the node would block it."""
    channel = await connection.channel(publisher_confirms=True)
    name = f"parley.doctor.{uuid.uuid4().hex}"
    started = monotonic()
    try:
        exchange = await channel.declare_exchange(
            f"{name}.exchange", ExchangeType.DIRECT, auto_delete=True, timeout=ANSWER_SECONDS
        )
        queue = await channel.declare_queue(name, exclusive=True, timeout=ANSWER_SECONDS)
        await queue.bind(exchange, name, timeout=ANSWER_SECONDS)
        await exchange.publish(Message(b""), name, timeout=TAKE_SECONDS)
        # During an alarm a node may confirm the first message, and answers nothing after it.
        await queue.delete(if_unused=False, if_empty=False, timeout=TAKE_SECONDS)
    except TimeoutError:
        return findings.error(
            "alarm", "It takes no messages: its disk or memory alarm is on; free disk or memory there."
        )
    except AMQPError as error:
        if not is_denied(error):
            raise
        return findings.error("rights", sentence(error, "RabbitMQ", "RABBITMQ_URL"))
    await amqp.close(channel)
    return findings.speed(monotonic() - started, "A message with its confirm")


async def _count(connection: AbstractConnection, layout: Layout, setting: int | None) -> Finding:
    try:
        if layout.counts:
            layout.check(setting)
    except StartupError as error:
        return findings.error("partitions", str(error))
    found = await count_in_use(connection, layout.current)
    if layout.is_refused_by(found):
        differs = LayoutDiffers if layout.version else PartitionsDiffer
        return findings.error("partitions", str(differs(layout.current, found)))
    if found not in (layout.current, layout.next):
        return findings.warning(
            "partitions",
            f"RabbitMQ's {found.count} partitions are of a later epoch than the stored ones: services take "
            "them when they start, so restart those that run.",
        )
    return findings.ok("partitions", f"The number of partitions is {layout.current.count}, as in RabbitMQ.")


async def _queues(connection: AbstractConnection, parts: Partitions) -> AsyncIterator[Finding]:
    problems = False
    for partition in range(parts.count):
        name = queue_name(partition, parts.epoch)
        declared = await queue_state(connection, name)
        if declared is None:
            problems = True
            yield findings.error(
                "queues", f"The queue {name} is missing: restart a worker, which declares it."
            )
        elif declared.message_count > MANY_RECORDS:
            problems = True
            yield findings.warning(
                "queues",
                f"{declared.message_count:,} AMQP messages wait in {name}: look at the workers (parley "
                "status).",
            )
    if not problems:
        finding = await _arguments(connection, parts)
        yield finding or findings.ok("queues", f"All {parts.count} queues exist, and are short.")


async def _arguments(connection: AbstractConnection, parts: Partitions) -> Finding | None:
    """Declare the queues as the services do: the broker compares, and changes nothing that exists."""
    channel = await connection.channel()
    try:
        await partitions.declare(channel, parts)
    except ChannelPreconditionFailed as error:
        return findings.error(
            "queues",
            f"A queue was declared otherwise ({str(error)[:160]}): no service can use it; empty it, delete "
            "it, and restart a worker.",
        )
    await channel.close()
    return None


def _owned(owners: Owners, parts: Partitions) -> Finding:
    unowned = [k for k in range(parts.count) if not owners.of(k)]
    twice = [k for k in range(parts.count) if len(owners.of(k)) > 1]
    if not owners.workers:
        return findings.error("owners", "No worker is connected: start one; accepted messages wait.")
    if unowned:
        return findings.error(
            "owners",
            f"No worker owns the partition(s) {_list(unowned)}: if that lasts for 10 s, read the workers' "
            "logs.",
        )
    if twice:
        return findings.warning(
            "owners",
            f"Two workers claim the partition(s) {_list(twice)}: if that lasts, look for a cut between the "
            "nodes.",
        )
    return findings.ok("owners", f"{len(owners.workers)} worker(s) own all {parts.count} partitions.")


async def _dead_letters(connection: AbstractConnection) -> Finding:
    state = await queue_state(connection, DEAD_LETTER_QUEUE)
    letters = state.message_count if state is not None else 0
    if not letters:
        return findings.ok("dead_letters", "There are no dead letters.")
    if letters >= DEAD_LETTER_LIMIT:
        return findings.error(
            "dead_letters",
            f"There are {letters:,} dead letters, and the oldest are dropped for each new one: read them by "
            "`parley dead-letters list`.",
        )
    return findings.warning(
        "dead_letters", f"There are {letters:,} dead letters: see `parley dead-letters list`."
    )


def _list(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
