"""A gateway in the process of the test, whose calls of MongoDB and Redis are counted."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import bson
from aiohttp import web
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from redis.asyncio.connection import AbstractConnection

from clients.stacks import PARTITIONS
from parley.gateway.adapters.files import open_files
from parley.gateway.bootstrap import Gateway
from parley.gateway.settings import Settings
from parley.shared import mongo
from parley.shared.mongo_socket import HEADER, MongoSocket
from parley.shared.reply_streams import ConnectionStreams
from parley.stack import Stack

REDIS_COMMAND = re.compile(rb"\*\d+\r\n\$\d+\r\n([A-Z]+)\r\n")
PERIODIC = {1, "revocations", "layouts"}
"""The targets of what a gateway asks MongoDB all the time, besides the members who were removed."""
BACKGROUND = {"PUBLISH", "PUBSUB", "HELLO", "CLIENT", "AUTH", "SELECT", "PING", "SCRIPT"}
"""Commands of Redis that belong to no connect: heartbeats, and what a connection begins with."""


class DatabaseCalls(CommandListener):
    """Counts the commands of a driver by name and collection, without those that a timer causes."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def started(self, event: CommandStartedEvent) -> None:
        target = event.command.get("collection") or event.command[event.command_name]
        # The driver names its sessions as it closes them.
        is_periodic = isinstance(target, list) or target in PERIODIC
        if not is_periodic and event.command.get("filter", {}).keys() != {"leftAt"}:
            self.counts[f"{event.command_name} {target}"] += 1

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


@dataclass(frozen=True)
class LocalGateway:
    """A running gateway, the address of its own, and what it has asked of MongoDB since it started."""

    gateway: Gateway
    url: str
    database_calls: Counter[str]


@asynccontextmanager
async def local_gateway(stack: Stack, **settings: Any) -> AsyncIterator[LocalGateway]:
    """Run a gateway on the servers of a stack."""
    known = Settings(
        node_name="local",
        jwt_secret=stack.jwt_secret,
        redis_url=stack.redis_url,
        rabbitmq_url=stack.rabbitmq_url,
        mongo_url=stack.mongo_url,
        drain_seconds=0,
        partitions=PARTITIONS.count,
        **{"rate_limits": False, **settings},
    )
    calls = DatabaseCalls()
    async with AsyncExitStack() as parts:
        database = await parts.enter_async_context(mongo.connect(known.mongo_url, event_listeners=[calls]))
        files = await parts.enter_async_context(open_files(known, database))
        gateway = Gateway(known, database, files)
        runner = web.AppRunner(gateway.application(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        parts.push_async_callback(runner.cleanup)
        gateway.start()
        parts.push_async_callback(gateway.stop)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield LocalGateway(gateway, f"http://127.0.0.1:{runner.addresses[0][1]}", calls.counts)


@contextmanager
def redis_round_trips(monkeypatch: Any) -> Iterator[Callable[[], list[list[str]]]]:
    """Collect the commands of each write to Redis: a pipeline is one write, and one round trip."""
    written: list[list[str]] = []
    send, write = AbstractConnection.send_packed_command, ConnectionStreams.write

    def record(data: bytes) -> None:
        names = [name.decode() for name in REDIS_COMMAND.findall(data)]
        if names and not BACKGROUND.issuperset(names):
            written.append(names)

    async def recorded(self: Any, command: Any, *args: Any, **named: Any) -> Any:
        record(b"".join(command) if isinstance(command, list) else bytes(command))
        return await send(self, command, *args, **named)

    def recorded_write(self: ConnectionStreams, data: bytes) -> None:
        record(data)
        write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(AbstractConnection, "send_packed_command", recorded)
        patch.setattr(ConnectionStreams, "write", recorded_write)
        yield lambda: written


@contextmanager
def primary_round_trips(monkeypatch: Any) -> Iterator[list[list[str]]]:
    """Collect the commands that MongoDB gets without Motor, by round trip."""
    written: list[list[str]] = []
    ask = MongoSocket.ask_all

    async def recorded(self: MongoSocket, messages: Sequence[bytes]) -> list[bytes]:
        commands = [bson.decode(message[HEADER.size :]) for message in messages]
        written.append([f"{name} {commands[n][name]}" for n, name in enumerate(map(_first, commands))])
        return await ask(self, messages)

    with monkeypatch.context() as patch:
        patch.setattr(MongoSocket, "ask_all", recorded)
        yield written


def _first(command: Mapping[str, Any]) -> str:
    return next(iter(command))
