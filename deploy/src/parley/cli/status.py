"""`parley status`: gateways, workers, partitions with their owners, waiting records, and what is stored."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from parley.cli import environment, layout
from parley.cli.broker import queue_state
from parley.cli.environment import Environment
from parley.cli.errors import CommandError
from parley.cli.faults import named
from parley.cli.output import Json, print_json, print_line, print_table
from parley.cli.owners import watch_owners
from parley.cli.probes import Probe, ask_all
from parley.shared import amqp, mongo
from parley.shared.documents import CONVERSATIONS, MEMBERSHIPS, MESSAGES
from parley.shared.partitions import DEAD_LETTER_QUEUE, HEARTBEAT_SECONDS, Partitions, queue_name

Fields = dict[str, Any]

OWNER_CHARACTERS = 8
WORKER = "parley.worker."


def status(
    context: typer.Context,
    conversation: Annotated[str | None, typer.Option(help="Show the head of this conversation too.")] = None,
    as_json: Json = False,
) -> None:
    """Show gateways, workers, partitions and what is stored; exits with 1 if something is not ready."""
    found = asyncio.run(collect(environment.of(context), conversation))
    print_json(found) if as_json else _print(found)
    raise typer.Exit(0 if found["ok"] else 1)


async def collect(env: Environment, conversation: str | None = None) -> Fields:
    """Return the state of everything; an `error` stands in the place of a server that cannot be asked."""
    gateways, workers, queues, stored = await asyncio.gather(
        ask_all(env.gateways),
        ask_all(env.workers),
        _or_error(broker(env)),
        _or_error(_stored(env, conversation)),
    )
    services = [*gateways, *workers]
    found: Fields = {
        "gateways": [of_gateway(probe) for probe in gateways],
        "workers": [of_worker(probe) for probe in workers],
        "versions": sorted({probe.version for probe in services if not probe.error}),
        "rabbitmq": queues,
        "mongodb": stored,
    }
    owned = all(partition["owners"] for partition in queues.get("partitions", ()))
    no_error = "error" not in queues and "error" not in stored
    found["ok"] = all(probe.ready for probe in services) and owned and no_error
    return found


def of_gateway(probe: Probe) -> Fields:
    """Return what a gateway states of itself."""
    metrics = probe.metrics
    return {
        **_service(probe),
        "sockets": _whole(metrics.value("parley_sockets")),
        "users": _whole(metrics.value("parley_held", what="users")),
        "outbox": _whole(metrics.value("parley_held", what="outbox")),
        "hopDelays": metrics.by("parley_hop_delay_seconds", "hop"),
    }


def of_worker(probe: Probe) -> Fields:
    """Return what a worker states of itself."""
    return {
        **_service(probe),
        "id": probe.metrics.label("parley_worker_info", "id"),
        "partitions": _whole(probe.metrics.value("parley_partitions_held")),
        "lagSeconds": probe.metrics.value("parley_lag_seconds"),
    }


def _service(probe: Probe) -> Fields:
    problems = [probe.error] if probe.error else list(probe.problems)
    return {
        "address": probe.address,
        "ready": probe.ready,
        "problems": problems,
        "version": None if probe.error else probe.version,
    }


async def broker(env: Environment) -> Fields:
    """Return the partitions with what waits in them and their owners, and the number of dead letters.

    Raises:
        CommandError: RabbitMQ is away.
    """
    try:
        current = (await layout.read(env)).current
    except CommandError:
        current = (await layout.initial(env)).current
    with named("RabbitMQ", "RABBITMQ_URL"):
        connection = await amqp.connect(env.settings.rabbitmq_url, name="status", heartbeat=HEARTBEAT_SECONDS)
        try:
            owners = await watch_owners(connection, current.epoch)
            partitions = []
            for partition in range(current.count):
                state = await queue_state(connection, queue_name(partition, current.epoch))
                waiting = state.message_count if state is not None else None
                named_owners = [owner.removeprefix(WORKER) for owner in owners.of(partition)]
                partitions.append({"partition": partition, "waiting": waiting, "owners": named_owners})
            letters = await queue_state(connection, DEAD_LETTER_QUEUE)
        finally:
            await amqp.close(connection)
    return {"partitions": partitions, "deadLetters": letters.message_count if letters is not None else 0}


async def _stored(env: Environment, conversation: str | None) -> Fields:
    with named("MongoDB", "MONGO_URL"):
        async with mongo.connect(env.settings.mongo_url) as database:
            found: Fields = {
                "conversations": await database[CONVERSATIONS].estimated_document_count(),
                "messages": await database[MESSAGES].estimated_document_count(),
            }
            if conversation is not None:
                current = (await layout.read(env)).current
                found["conversation"] = await _head(database, conversation, current)
    return found


async def _head(database: Any, conversation: str, partitions: Partitions) -> Fields:
    head = await database[CONVERSATIONS].find_one({"_id": conversation})
    if head is None:
        raise CommandError(f"There is no conversation {conversation}.")
    members = {"conversationId": conversation, "leftAt": {"$exists": False}}
    return {
        "id": conversation,
        "partition": partitions.of(conversation),
        "lastSeq": head["lastSeq"],
        "rev": head["rev"],
        "lastMessageAt": (head.get("lastMessage") or {}).get("createdAt"),
        "members": await database[MEMBERSHIPS].count_documents(members),
    }


async def _or_error(asked: Awaitable[Fields]) -> Fields:
    try:
        return await asked
    except CommandError as error:
        return {"error": str(error)}


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _print(found: Fields) -> None:
    columns = ("gateway", "state", "version", "sockets", "users", "outbox", "")
    print_table(columns, map(_gateway, found["gateways"]))
    print_line("")
    print_table(("worker", "state", "version", "partitions", "lag", ""), map(_worker, found["workers"]))
    print_line("")
    _print_broker(found["rabbitmq"], found["workers"])
    _print_stored(found["mongodb"])


def _gateway(row: Fields) -> Sequence[Any]:
    numbers = (row["sockets"], row["users"], row["outbox"])
    return (row["address"], _state(row), row["version"], *numbers, "; ".join(row["problems"]))


def _worker(row: Fields) -> Sequence[Any]:
    lag = "" if row["lagSeconds"] is None else f"{row['lagSeconds']:.1f} s"
    return (row["address"], _state(row), row["version"], row["partitions"], lag, "; ".join(row["problems"]))


def _state(row: Fields) -> Text:
    return Text("ready", "green") if row["ready"] else Text("not ready", "bold red")


def _print_broker(queues: Fields, workers: Sequence[Fields]) -> None:
    if "error" in queues:
        print_line(queues["error"], "bold red")
        return
    addresses = {worker["id"]: worker["address"] for worker in workers if worker["id"]}
    rows = [
        (str(p["partition"]), p["waiting"], ", ".join(_owner(o, addresses) for o in p["owners"]) or "nobody")
        for p in queues["partitions"]
    ]
    print_table(("partition", "waiting", "owner"), rows)
    print_line(f"\n{queues['deadLetters']:,} dead letter(s).")


def _owner(owner: str, addresses: Fields) -> str:
    worker = owner.partition(".")[0]
    return addresses.get(worker) or worker[:OWNER_CHARACTERS]


def _print_stored(stored: Fields) -> None:
    if "error" in stored:
        print_line(stored["error"], "bold red")
        return
    print_line(f"{stored['conversations']:,} conversations, {stored['messages']:,} messages.")
    if "conversation" in stored:
        for name, value in stored["conversation"].items():
            print_line(f"{name}: {value}")
