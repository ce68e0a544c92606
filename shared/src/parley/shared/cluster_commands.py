"""Commands to a Redis Cluster: those of one call go to all of their masters at the same time.

redis-py's pipeline of a cluster closes all connections when one master is away, and fails as a whole: the
callers of the other masters would fail with it.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from redis.exceptions import AskError, MovedError, RedisError, TryAgainError
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as TimedOut

from parley.shared.cancellation import end
from parley.shared.cluster import Cluster, refresh_quietly, slot_of
from parley.shared.host_lists import Address
from parley.shared.pipelined_connection import Command, PipelinedConnection

ROUNDS = 5
"""Times that a command is sent: slots move, and a failover is followed."""
KEYS_MOVE_SECONDS = 0.02
PROBE_SECONDS = 0.5
KEY_AT = {"EVAL": 3, "EVALSHA": 3, "PUBSUB": 2}
"""Where the first key or the channel of a command stands, if not behind its name."""


class ClusterCommands:
    """Commands by the masters of their keys. Each has a key, or a channel, and all of its keys one slot."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._connections: dict[Address, PipelinedConnection] = {}
        self._probes: dict[Address, asyncio.Task[None]] = {}
        """The masters that hang: commands to them fail at once, for others would wait for them each time."""

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands, in order at each master; return their replies.

        Errors of single commands are among the replies, as are the faults of a master that is away: those of
        the other masters are carried out.

        Raises:
            RedisError, OSError, RuntimeError: No node of the cluster answers.
        """
        if not commands:
            return []
        await self.cluster.load()
        replies: list[Any] = [None] * len(commands)
        slots = [slot_of(str(command[KEY_AT.get(str(command[0]), 1)])) for command in commands]
        todo: list[int] = list(range(len(commands)))
        for round_number in range(ROUNDS):
            # MOVED is a kind of ASK for the driver.
            asked = [n for n in todo if type(replies[n]) is AskError]
            await asyncio.gather(
                self._ask_those(commands, replies, asked),
                self._run_those(commands, replies, slots, [n for n in todo if n not in asked]),
            )
            todo = [n for n in todo if _is_worth_another(replies[n], round_number)]
            if not todo:
                break
            await self._follow([replies[n] for n in todo])
        return replies

    async def close(self) -> None:
        """Close all connections."""
        await end(list(self._probes.values()))
        for connection in self._connections.values():
            await connection.close()
        await self.cluster.close()

    async def _run_those(
        self, commands: Sequence[Command], replies: list[Any], slots: Sequence[int], numbers: Iterable[int]
    ) -> None:
        by_master: dict[Address, list[int]] = {}
        for n in numbers:
            owner = self.cluster.owner(slots[n])
            if owner is None:
                replies[n] = ConnectionLost(f"slot {slots[n]} has no master")
            else:
                by_master.setdefault(owner, []).append(n)
        await asyncio.gather(
            *(self._run_at(address, commands, replies, some) for address, some in by_master.items())
        )

    async def _run_at(
        self, address: Address, commands: Sequence[Command], replies: list[Any], numbers: Sequence[int]
    ) -> None:
        try:
            if address in self._probes:
                raise TimedOut("this master of the Redis Cluster does not answer")
            found = await self._connection(address).run([commands[n] for n in numbers])
        except (RedisError, OSError, RuntimeError) as error:
            found = [error] * len(numbers)
            if isinstance(error, TimedOut) and address not in self._probes:
                self._probes[address] = asyncio.create_task(self._probe(address))
        for n, reply in zip(numbers, found, strict=True):
            replies[n] = reply

    async def _ask_those(
        self, commands: Sequence[Command], replies: list[Any], numbers: Iterable[int]
    ) -> None:
        """Send commands to the masters that take over their slots, which have their keys already."""
        for n in numbers:
            address = (replies[n].host, replies[n].port)
            try:
                _, replies[n] = await self._connection(address).run([("ASKING",), commands[n]])
            except (RedisError, OSError, RuntimeError) as error:
                replies[n] = error

    async def _probe(self, address: Address) -> None:
        """Wait until a master answers, or is none of the cluster any more."""
        try:
            while address in self.cluster.masters():
                try:
                    await self._connection(address).run([("PING",)])
                    return
                except (RedisError, OSError, RuntimeError):
                    await asyncio.sleep(PROBE_SECONDS)
                    await refresh_quietly(self.cluster)
        finally:
            del self._probes[address]

    async def _follow(self, errors: Sequence[Any]) -> None:
        for error in errors:
            if isinstance(error, MovedError):
                self.cluster.moved(error)
        if any(isinstance(error, TryAgainError) for error in errors):
            await asyncio.sleep(KEYS_MOVE_SECONDS)
        if any(isinstance(error, ConnectionLost | OSError | RuntimeError) for error in errors):
            await refresh_quietly(self.cluster)

    def _connection(self, address: Address) -> PipelinedConnection:
        found = self._connections.get(address)
        if found is None:
            found = self._connections[address] = PipelinedConnection(self.cluster.client(address))
        return found


def _is_worth_another(reply: Any, round_number: int) -> bool:
    if isinstance(reply, MovedError | AskError | TryAgainError):
        return True
    # Once: the master may be another one by now. A master that hangs has taken its time already.
    return round_number == 0 and isinstance(reply, ConnectionLost | OSError | RuntimeError)
