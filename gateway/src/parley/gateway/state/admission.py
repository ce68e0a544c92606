"""Admission control: refuses messages and changes that would wait too long, at this node or for their worker.

DECISIONS.md explains what it measures, and why.
"""

from asyncio import Future
from collections.abc import Callable

from parley.gateway.core.errors import ChatError, Overloaded
from parley.gateway.core.ports import Outbox
from parley.gateway.state.load_shedder import LoadShedder
from parley.gateway.state.partition_windows import PartitionWindows
from parley.shared.records import Change, NewMessage, Record

OVERLOADED = "The server is overloaded. Retry later."


class AdmissionController:
    """An `Outbox` in front of another one, which refuses messages that would wait too long.

    Args:
        outbox: The outbox that takes what is admitted.
        partition_of: Returns the partition of a conversation.
        windows: The windows of the partitions.
        shedder: Limits the pending messages while this node is too slow; None never does.
        outage: Returns the error with which the outbox refuses the records of a partition, if it does.
    """

    def __init__(
        self,
        outbox: Outbox,
        partition_of: Callable[[str], int],
        windows: PartitionWindows,
        shedder: LoadShedder | None = None,
        outage: Callable[[int], ChatError | None] = lambda _partition: None,
    ) -> None:
        self._outbox = outbox
        self._partition_of = partition_of
        self._windows = windows
        self._shedder = shedder
        self._outage = outage
        self._refusals: dict[float, Overloaded] = {}

    def __len__(self) -> int:
        return len(self._windows)

    def refusal(self, conversation_id: str) -> ChatError | None:
        """Return the error with which a message to a conversation would be refused now, else None.

        It is cheap, and takes any text: an edge asks before it validates an event.
        """
        partition = self._partition_of(conversation_id)
        return self._refusal(conversation_id, partition) or self._outage(partition)

    def _refusal(self, conversation_id: str, partition: int) -> Overloaded | None:
        retry_after = self._windows[partition].retry_after(self._windows.clock())
        if retry_after is None and self._shedder is not None:
            retry_after = self._shedder.retry_after(conversation_id, partition)
        if retry_after is None:
            return None
        error = self._refusals.get(retry_after)
        if error is None:
            error = self._refusals[retry_after] = Overloaded(OVERLOADED, retry_after=retry_after)
        return error

    def put(self, record: Record) -> "Future[None]":
        """Put a record into the outbox. Marks are not subject to admission: few of them store anything.

        Raises:
            Overloaded: The record would wait too long.
        """
        if not isinstance(record, NewMessage | Change):
            return self._outbox.put(record)
        conversation_id = record.conversation_id
        partition = self._partition_of(conversation_id)
        refusal = self._refusal(conversation_id, partition)
        if refusal is not None:
            # A shared error would keep the traceback of every raise.
            raise Overloaded(OVERLOADED, retry_after=refusal.retry_after)
        confirmed = self._outbox.put(record)
        window = self._windows[partition]
        window.add(record.id, self._windows.clock())
        if self._shedder is not None:
            self._shedder.add(conversation_id, partition)
        window.discard_if_failed(record.id, confirmed)
        return confirmed

    def confirm(self, conversation_id: str, record_id: str) -> None:
        """Take note that a worker has stored a record, or refused it."""
        self._windows.confirm(self._partition_of(conversation_id), record_id)
