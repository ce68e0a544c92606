"""Session snapshots in memory, by any clock."""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from parley.gateway.core.session_snapshot import KEPT_SECONDS, SnapshotChange


class MemorySnapshotStore:
    """`SnapshotStore`."""

    def __init__(self, kept_seconds: float = KEPT_SECONDS, clock: Callable[[], float] = monotonic) -> None:
        self._kept_seconds = kept_seconds
        self._clock = clock
        self._kept: dict[str, tuple[str, dict[str, str]]] = {}
        self._until: dict[str, float] = {}

    async def find(self, pid: str) -> Mapping[str, str]:
        self._lapse()
        return dict(self._kept[pid][1]) if pid in self._kept else {}

    async def apply(self, changes: Sequence[SnapshotChange]) -> None:
        self._lapse()
        for change in changes:
            self._do(change)

    async def renew(self, pids: Sequence[str]) -> list[str]:
        self._lapse()
        self._until.update({pid: self._end() for pid in pids if pid in self._kept})
        return [pid for pid in pids if pid not in self._kept]

    def _do(self, change: SnapshotChange) -> None:
        sid, fields = self._kept.get(change.pid, (None, {}))
        if change.action == "take":
            sid, fields = change.sid, {}
        if sid != change.sid:
            return
        if change.action == "forget":
            del self._kept[change.pid]
            return
        left = {name: value for name, value in fields.items() if name not in change.drop}
        self._kept[change.pid] = sid, {**left, **change.put}
        self._until[change.pid] = self._end()

    def _end(self) -> float:
        return self._clock() + self._kept_seconds

    def _lapse(self) -> None:
        for pid in [pid for pid in self._kept if self._until[pid] <= self._clock()]:
            del self._kept[pid]
