"""`python -m load.connects`: the costs of a connect: calls of MongoDB, commands of Redis, processor time."""

import argparse
import asyncio
import os
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from redis.asyncio import Redis

from clients.chat import token
from clients.database import open_database
from clients.socketio_lean import LeanSocket
from load import meters
from load.arguments import Arguments
from parley.shared.documents import CONVERSATIONS, MEMBERSHIPS, to_document
from parley.shared.model import Conversation, Membership, new_id, now
from parley.stack import Stack

CPU = "process_cpu_seconds_total"
READS = ("find", "getMore", "aggregate", "count", "findAndModify", "update", "insert", "delete", "distinct")
SETTLE_SECONDS, SETTLED_CPU = 0.5, 0.1
"""After connects: a sample of CPU time, until a sample shows less than this share of a core."""
INSERTED_AT_ONCE = 10_000


@dataclass(frozen=True)
class Scenario:
    """Users who connect, each a member of `conversations` of `size` members."""

    title: str
    users: int
    conversations: int
    size: int
    namespaces: tuple[str, ...] = ("/chat",)
    again: bool = False
    """Connect a second socket of each user, and measure only that."""


SCENARIOS = {
    "first": Scenario("first sockets, 10 conversations of 10", 500, 10, 10, ("/", "/chat", "/messages")),
    "second": Scenario("second sockets, 10 conversations of 10", 500, 10, 10, again=True),
    "none": Scenario("users without conversations", 500, 0, 0),
    "heavy": Scenario("users with 2,000 conversations of 2", 3, 2_000, 2),
    "group": Scenario("one group of 1,000", 1_000, 1, 1_000),
}


class Meter:
    """Reads what the servers and services have done, by name."""

    def __init__(self, stack: Stack, database: Any, redis: Redis, http: aiohttp.ClientSession) -> None:
        self._database, self._redis = database, redis
        self._reader = meters.Reader(stack, http)

    async def read(self) -> Counter[str]:
        """Return counts of commands, and seconds of processor time."""
        status = await self._database.command("serverStatus")
        commands, info = status["metrics"]["commands"], await self._redis.info("everything")
        found: Counter[str] = Counter({f"mongodb {name}": int(commands[name]["total"]) for name in READS})
        for name, value in info.items():
            if name.startswith("cmdstat_"):
                found[f"redis {name.removeprefix('cmdstat_')}"] = value["calls"]
        samples = await self._reader.read()
        found["cpu gateway"] = meters.total(samples, "gateway", CPU)  # type: ignore[assignment]
        found["cpu mongodb"] = cpu_of(int(status["pid"]))  # type: ignore[assignment]
        found["cpu redis"] = cpu_of(int(info["process_id"]))  # type: ignore[assignment]
        return found

    async def settled(self) -> Counter[str]:
        """Return the counts once the gateways rest."""
        before = await self.read()
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            after = await self.read()
            if after["cpu gateway"] - before["cpu gateway"] < SETTLED_CPU * SETTLE_SECONDS:
                return after
            before = after


def cpu_of(pid: int) -> float:
    """Return the seconds of processor time of a process of this machine."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Users:
    """Users with stored conversations, and their sockets."""

    def __init__(self, scenario: Scenario, stack: Stack, urls: Sequence[str] = ()) -> None:
        self._scenario = scenario
        self._urls = urls or stack.gateway_urls
        prefix = uuid.uuid4().hex[:6]
        self.ids = [f"{prefix}-{n}" for n in range(scenario.users)]
        self._tokens = {user: token(stack.jwt_secret, user, iat=int(time.time())) for user in self.ids}
        self._sockets: list[LeanSocket] = []
        self.events: Counter[str] = Counter()

    async def store(self, database: Any) -> None:
        """Store the conversations: each user's, filled up with users who never connect."""
        conversations, memberships = [], []
        for conversation, members in self._conversations():
            conversations.append(to_document(conversation))
            at = conversation.created_at
            memberships += [
                to_document(Membership(conversation_id=conversation.id, user_id=user, joined_at=at))
                for user in members
            ]
        for name, documents in ((CONVERSATIONS, conversations), (MEMBERSHIPS, memberships)):
            for start in range(0, len(documents), INSERTED_AT_ONCE):
                await database[name].insert_many(documents[start : start + INSERTED_AT_ONCE], ordered=False)

    def _conversations(self) -> Iterator[tuple[Conversation, Sequence[str]]]:
        scenario, ids = self._scenario, self.ids
        alone = scenario.size > len(ids) or scenario.conversations > len(ids)
        count = scenario.conversations * len(ids) // (1 if alone else max(scenario.size, 1))
        for n in range(count):
            conversation = Conversation(id=new_id(), kind="group", created_by=ids[0], created_at=now())
            if alone:
                yield conversation, [ids[n % len(ids)], *(f"{new_id()}" for _ in range(scenario.size - 1))]
            else:
                # A step that grows with each turn mixes the users, so that contacts seldom repeat.
                turn, place = divmod(n * scenario.size, len(ids))
                places = ((place + k * (turn * 7 + 1)) % len(ids) for k in range(scenario.size))
                yield conversation, list(dict.fromkeys(ids[each] for each in places))

    async def connect(self, namespace: str, at_once: int) -> list[float]:
        """Connect all, some at a time; return the seconds that each took."""
        turns, seconds = asyncio.Semaphore(at_once), []

        async def one(user: str) -> None:
            async with turns:
                began = time.perf_counter()
                auth = {"token": self._tokens[user]}
                url = self._urls[hash(user) % len(self._urls)]
                self._sockets.append(await LeanSocket.connect(url, namespace, auth, self._on_event))
                seconds.append(time.perf_counter() - began)

        await asyncio.gather(*map(one, self.ids))
        return seconds

    async def close(self) -> None:
        """Close all sockets."""
        await asyncio.gather(*(socket.close() for socket in self._sockets))
        self._sockets.clear()

    def _on_event(self, event: str, _payload: Any) -> None:
        self.events[event] += 1


async def measure(stack: Stack, meter: Meter, database: Any, scenario: Scenario, at_once: int) -> None:
    """Connect the users of a scenario in each of its namespaces, and print what that cost."""
    for namespace in scenario.namespaces:
        users = Users(scenario, stack)
        await users.store(database)
        if scenario.again:
            await users.connect(namespace, at_once)
            users.events.clear()
        before, began = await meter.settled(), time.perf_counter()
        times = await users.connect(namespace, at_once)
        connected = time.perf_counter() - began
        costs = await meter.settled() - before
        print(report(f"{scenario.title}, {namespace}", times, connected, costs, users.events), flush=True)
        await users.close()
        await meter.settled()


def report(
    title: str, times: Sequence[float], connected: float, costs: Mapping[str, float], events: Counter[str]
) -> str:
    """Return the costs of a connect as text, without commands that few connects made."""
    count, ordered = len(times), sorted(times)
    each = {name: value / count for name, value in costs.items()}
    mongodb = {n.removeprefix("mongodb "): v for n, v in each.items() if n.startswith("mongodb ") and v > 0.1}
    redis = {n.removeprefix("redis "): v for n, v in each.items() if n.startswith("redis ") and v > 0.1}
    cpu = ", ".join(f"{n.removeprefix('cpu ')} {1e3 * v:.2f}" for n, v in each.items() if n.startswith("cpu"))
    return "\n".join(
        (
            f"{title}: {count} connects in {connected:.2f} s, p50 {1e3 * ordered[count // 2]:.0f} ms, "
            f"max {1e3 * ordered[-1]:.0f} ms",
            f"  CPU of a connect, ms: {cpu}",
            f"  MongoDB: {sum(mongodb.values()):.1f} calls: {_shown(mongodb)}",
            f"  Redis: {_shown(redis)}",
            f"  events to clients: {_shown({n: v / count for n, v in events.items()})}",
        )
    )


def _shown(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in sorted(values.items())) or "none"


async def run(stack: Stack, args: argparse.Namespace) -> None:
    """Measure the scenarios on a running stack."""
    async with (
        aiohttp.ClientSession() as http,
        open_database(stack.mongo_url) as database,
        Redis.from_url(stack.redis_url) as redis,
    ):
        meter = Meter(stack, database, redis, http)
        # The first connects of a process import and compile what later ones find.
        warm_up = Users(Scenario("", 20, 2, 5), stack)
        await warm_up.store(database)
        await warm_up.connect("/chat", 5)
        await warm_up.close()
        for name in args.scenarios:
            await measure(stack, meter, database, SCENARIOS[name], args.at_once)


def main() -> None:
    """Read the arguments, and run on an own stack without rate limits."""
    parser = Arguments(prog="load.connects", description=__doc__)
    parser.add_argument("scenarios", nargs="*", default=list(SCENARIOS), help=", ".join(SCENARIOS))
    parser.add_argument("--at-once", type=int, default=8, help="connects at a time")
    parser.add_argument("--gateways", type=int, default=1)
    args = parser.parse_args()
    if unknown := [name for name in args.scenarios if name not in SCENARIOS]:
        parser.error(f"there is no scenario {unknown[0]}")
    settings = {"RATE_LIMITS": "off", "AUDIT_SECONDS": "3600"}
    with (
        tempfile.TemporaryDirectory(prefix="parley-connects-") as directory,
        Stack(Path(directory), gateways=args.gateways, workers=1, settings=settings) as stack,
    ):
        uvloop.run(run(stack, args))


if __name__ == "__main__":
    main()
