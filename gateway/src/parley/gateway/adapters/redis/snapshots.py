"""Session snapshots in Redis: an expiring hash per socket, changed only by the socket that owns it."""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from redis.asyncio import Redis

from parley.gateway.core.errors import Unavailable
from parley.gateway.core.session_snapshot import KEPT_SECONDS, SnapshotChange
from parley.shared.metrics import bus_failures
from parley.shared.redis import FAULTS

KEPT_MS = int(KEPT_SECONDS * 1000)
SCRIPT = resources.files("parley.gateway.adapters.redis").joinpath("snapshot.lua").read_text()


class RedisSnapshotStore:
    """`SnapshotStore`. Errors of Redis are not chained: their texts would name private ids."""

    def __init__(self, redis: "Redis", kept_ms: int = KEPT_MS) -> None:
        self._redis = redis
        self._kept_ms = kept_ms

    async def find(self, pid: str) -> Mapping[str, str]:
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hgetall(_key(pid))
        (found,) = await self._run("find", pipeline)
        return {name.decode(): value.decode() for name, value in found.items() if name != b"sid"}

    async def apply(self, changes: Sequence[SnapshotChange]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for change in changes:
            put = [each for pair in change.put.items() for each in pair]
            head = (change.action, change.sid, str(self._kept_ms), str(len(change.drop)))
            pipeline.eval(SCRIPT, 1, _key(change.pid), *head, *change.drop, *put)
        await self._run("keep", pipeline)

    async def renew(self, pids: Sequence[str]) -> list[str]:
        pipeline = self._redis.pipeline(transaction=False)
        for pid in pids:
            pipeline.pexpire(_key(pid), self._kept_ms)
        kept = await self._run("renew", pipeline)
        return [pid for pid, known in zip(pids, kept, strict=True) if not known]

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _run(self, operation: str, pipeline: Any) -> list[Any]:
        try:
            found: list[Any] = await pipeline.execute()
        except FAULTS:
            bus_failures.labels(f"recovery_{operation}").inc()
            raise Unavailable("Connection recovery is unavailable. Retry later.") from None
        return found


def _key(pid: str) -> str:
    return f"parley:recovery:{pid}"
