"""Counters of the running parts: processor time, calls, bytes, and memory."""

from collections import Counter
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from load.processor_time import processor_seconds, resident_bytes, stack_groups
from parley.stack import Stack

Costs = Mapping[str, float]
"""By name: seconds of processor time of each part, and counts such as `mongodb calls`, `redis bytes`."""

PARTS = ("gateways", "workers", "mongodb", "rabbitmq", "redis", "nginx")
CALLS = ("insert", "query", "update", "delete", "getmore", "command")
SECOND_GATEWAY = "gateway-2"
"""Processor time of the second gateway alone, of which some scenes have no clients."""


class Counters:
    """Reads what a stack has done so far."""

    def __init__(self, stack: Stack, database: Any, redis: Any) -> None:
        self._database, self._redis = database, redis
        self._groups = {kind: pids for kind, pids in stack_groups(stack).items() if kind in PARTS}
        self._gateways = self._groups["gateways"]

    async def read(self) -> Counter[str]:
        """Return seconds of processor time by part, and counts."""
        status = await self._database.command("serverStatus")
        info = await self._redis.info()
        found: dict[str, float] = {
            **processor_seconds(self._groups),
            SECOND_GATEWAY: processor_seconds({SECOND_GATEWAY: self._gateways[1:2]})[SECOND_GATEWAY],
            "seconds": perf_counter(),
            "mongodb calls": sum(status["opcounters"][name] for name in CALLS),
            "mongodb bytes": status["network"]["bytesIn"] + status["network"]["bytesOut"],
            "redis commands": info["total_commands_processed"],
            "redis bytes": info["total_net_input_bytes"] + info["total_net_output_bytes"],
        }
        return Counter(found)  # type: ignore[arg-type]

    async def memory(self) -> dict[str, float]:
        """Return bytes in use: of all gateways, of Redis, and of MongoDB's data with its indexes."""
        stored = await self._database.command("dbStats")
        return {
            "gateways": float(sum(map(resident_bytes, self._gateways))),
            "redis": float((await self._redis.info("memory"))["used_memory"]),
            "redis keys": await self._bytes_of_keys(),
            "mongodb": float(stored["dataSize"] + stored["indexSize"]),
        }

    async def _bytes_of_keys(self) -> float:
        keys = [key async for key in self._redis.scan_iter()]
        return float(sum([await self._redis.memory_usage(key, samples=0) or 0 for key in keys]))


def difference(before: Mapping[str, float], after: Mapping[str, float], idle: Costs) -> dict[str, float]:
    """Return what was used between two readings, without what the idle system uses in that time."""
    seconds = after["seconds"] - before["seconds"]
    return {
        name: after[name] - before[name] - idle.get(name, 0.0) * seconds
        for name in after
        if name != "seconds"
    }


def each(used: Mapping[str, float], count: float) -> dict[str, float]:
    """Return the costs of one."""
    return {name: max(0.0, value) / max(count, 1.0) for name, value in used.items()}


def slope(more: Costs, fewer: Costs, by: float) -> dict[str, float]:
    """Return the costs of one of those by which two scenes differ."""
    return {name: max(0.0, more[name] - fewer[name]) / by for name in more}


def less(costs: Costs, other: Costs, times: float = 1.0) -> dict[str, float]:
    """Return costs without others."""
    return {name: max(0.0, value - times * other.get(name, 0.0)) for name, value in costs.items()}
