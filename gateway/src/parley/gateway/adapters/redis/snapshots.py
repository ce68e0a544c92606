"""Session snapshots in Redis: an expiring hash per socket, changed only by the socket that owns it."""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from parley.gateway.core.errors import Unavailable
from parley.gateway.core.session_snapshot import KEPT_SECONDS, SnapshotChange
from parley.shared.metrics import bus_failures
from parley.shared.pipelined_connection import Command, raise_first
from parley.shared.redis import FAULTS, Commands

KEPT_MS = int(KEPT_SECONDS * 1000)
SCRIPT = resources.files("parley.gateway.adapters.redis").joinpath("snapshot.lua").read_text()


class RedisSnapshotStore:
    """`SnapshotStore`. Errors of Redis are not chained: their texts would name private ids."""

    def __init__(self, commands: Commands, kept_ms: int = KEPT_MS) -> None:
        self._commands = commands
        self._kept_ms = kept_ms

    async def find(self, pid: str) -> Mapping[str, str]:
        (found,) = await self._run("find", [("HGETALL", _key(pid))])
        # A map, or names and values in turn: it depends on the version of Redis' protocol.
        pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        return {name.decode(): value.decode() for name, value in pairs if name != b"sid"}

    async def apply(self, changes: Sequence[SnapshotChange]) -> None:
        await self._run("keep", [self._command(change) for change in changes])

    async def renew(self, pids: Sequence[str]) -> list[str]:
        kept = await self._run("renew", [("PEXPIRE", _key(pid), self._kept_ms) for pid in pids])
        return [pid for pid, known in zip(pids, kept, strict=True) if not known]

    async def close(self) -> None:
        """Close the connections."""
        await self._commands.close()

    def _command(self, change: SnapshotChange) -> Command:
        put = [each for pair in change.put.items() for each in pair]
        head = (change.action, change.sid, self._kept_ms, len(change.drop))
        return ("EVAL", SCRIPT, 1, _key(change.pid), *head, *change.drop, *put)

    async def _run(self, operation: str, commands: Sequence[Command]) -> list[Any]:
        try:
            replies = await self._commands.run(commands)
            raise_first(replies)
        except FAULTS:
            bus_failures.labels(f"recovery_{operation}").inc()
            raise Unavailable("Connection recovery is unavailable. Retry later.") from None
        return replies


def _key(pid: str) -> str:
    return f"parley:recovery:{pid}"
