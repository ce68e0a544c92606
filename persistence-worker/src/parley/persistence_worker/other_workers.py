"""The other workers, by the last announcement of each.

Locks decide which worker holds a partition. Claims matter where a lock outlives its connection:
RabbitMQ keeps it, from version 4.2 on, until the node comes back on which it was.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import monotonic

from parley.persistence_worker.claims import Announcement, Claims


@dataclass(frozen=True, slots=True)
class _Received:
    at: float
    last: Announcement


class OtherWorkers:
    """The last message of each other worker; kept when this worker's connection is lost."""

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        self._received: dict[str, _Received] = {}

    def __iter__(self) -> Iterator[str]:
        """Iterate over their queues."""
        return iter([received.last.queue for received in self._received.values()])

    def receive(self, announcement: Announcement) -> bool:
        """Note a message; return whether its sender's queue was unknown.

        A worker has a new queue with each connection, which replaces the one before.
        """
        worker = _worker_of(announcement.queue)
        last = self._received[worker].last if worker in self._received else None
        if worker == self.worker_id or (last is not None and last.sent > announcement.sent):
            return False
        self._received[worker] = _Received(monotonic(), announcement)
        return last is None or last.queue != announcement.queue

    def unknown(self, queues: Iterable[str]) -> list[str]:
        """Return those of the queues whose workers are not known."""
        return [queue for queue in queues if _worker_of(queue) not in {*self._received, self.worker_id}]

    def forget(self, queue: str) -> None:
        """Forget the worker with this queue, which is gone."""
        self._received = {
            worker: received for worker, received in self._received.items() if received.last.queue != queue
        }

    def forget_silent(self, seconds: float) -> list[str]:
        """Forget the workers whose last message is older than this, and return their queues."""
        oldest = monotonic() - seconds
        silent = [received.last.queue for received in self._received.values() if received.at <= oldest]
        for queue in silent:
            self.forget(queue)
        return silent

    def count(self) -> int:
        """Return the number of present workers."""
        return sum(received.last.present for received in self._received.values())

    def is_claimed(self, partition: int) -> bool:
        """Return whether one of them holds a partition."""
        return any(partition in received.last.claims.held for received in self._received.values())

    def outranking(self, claims: Claims) -> list[int]:
        """Return the partitions that this worker claims, but another one has the better claim to.

        The lock is the better claim, and without one the smaller id.
        """
        return sorted(
            partition
            for partition in claims.held
            if any(
                _rank(worker, received.last.claims, partition) < _rank(self.worker_id, claims, partition)
                for worker, received in self._received.items()
                if partition in received.last.claims.held
            )
        )


def _worker_of(queue: str) -> str:
    return queue.rpartition(".")[0]


def _rank(worker: str, claims: Claims, partition: int) -> tuple[bool, str]:
    return partition not in claims.locked, worker
