"""Streams: the events of each conversation in the order of their revisions, each once, gaps backfilled."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import structlog

from parley.gateway import gauges
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import Messages, People
from parley.gateway.core.positions import Position, Revision
from parley.gateway.live.message_delivery import MessageDelivery
from parley.gateway.live.stream import Stream
from parley.gateway.services.epochs import Epochs
from parley.gateway.state.replay import Span, changed_event, has_changed, in_order
from parley.shared.events import MessageStored, Numbered
from parley.shared.model import Message, Person

log = structlog.get_logger()

T = TypeVar("T")

PAGE = 50
BACKFILLS_AT_ONCE = 16
"""Streams that read from MongoDB at the same time; after an outage of the bus all of them are behind."""
WAITING_LIMIT = 1_000
RETRY_SECONDS = 0.5
NOTHING = Position(0, 0)


class Streams:
    """The streams of the conversations that have members on this node."""

    def __init__(self, messages: Messages, people: People, delivery: MessageDelivery, epochs: Epochs) -> None:
        self._messages = messages
        self._epochs = epochs
        self._people = people
        self._delivery = delivery
        # Most conversations are idle, and a user may have thousands: one without events has no `Stream`.
        self._streams: dict[str, Stream | Position | None] = {}
        self._recordings: dict[str, list[list[Numbered]]] = {}
        self._reading = asyncio.Semaphore(BACKFILLS_AT_ONCE)
        self.replaced: set[str] = set()
        """Conversations whose stored history does not go on from what this node has delivered."""

    def open(self, conversation_ids: Collection[str]) -> list[str]:
        """Begin to take the events of conversations; return those that wait for `start`."""
        waiting = [each for each in conversation_ids if not self.is_open(each)]
        for each in waiting:
            self._streams.setdefault(each)
        return waiting

    def is_open(self, conversation_id: str) -> bool:
        """Return whether a conversation's events are delivered."""
        found = self._streams.get(conversation_id)
        return found is not None and found.rev is not None

    def start(self, heads: Mapping[str, Position]) -> None:
        """Deliver what comes after these heads, by conversation.

        Read a head after the subscription was confirmed: events published before that are in the
        head, later ones were received and wait.
        """
        for conversation_id, head in heads.items():
            stream = self._streams.get(conversation_id)
            if stream is None:
                self._streams[conversation_id] = head
            elif stream.rev is None:
                stream.seq, stream.rev, stream.epoch = head
                self._receive_waiting(stream)

    @contextmanager
    def recorded_changes(self, conversation_id: str) -> Iterator[list[Numbered]]:
        """Collect the edits and deletions that are delivered while the context is open."""
        changes: list[Numbered] = []
        recordings = self._recordings.setdefault(conversation_id, [])
        recordings.append(changes)
        try:
            yield changes
        finally:
            recordings[:] = [each for each in recordings if each is not changes]
            if not recordings:
                self._recordings.pop(conversation_id, None)

    def head(self, conversation_id: str) -> Position:
        """Return the position that has been delivered; (0, 0) without a stream."""
        found = self._streams.get(conversation_id)
        return found.position if isinstance(found, Stream) else found or NOTHING

    def seq(self, conversation_id: str) -> int:
        """Return the number of the last message that has been delivered; 0 without a stream."""
        found = self._streams.get(conversation_id)
        return found.seq if found is not None else 0

    def close(self, conversation_id: str) -> None:
        """Stop taking a conversation's events: no member is here any more."""
        stream = self._streams.pop(conversation_id, None)
        if isinstance(stream, Stream) and stream.backfill is not None:
            stream.backfill.cancel()

    def receive(self, event: Numbered) -> None:
        """Deliver an event if it is the next one, drop a duplicate, backfill a gap.

        With an event of a new epoch, the stored history is compared first: another worker has taken over,
        or MongoDB was restored to an earlier point, and gives the same revisions again.
        """
        message = event.message
        stream = self._stream(message.conversation_id)
        if stream is None:
            return
        if stream.rev is None or stream.backfill is not None:
            if len(stream.waiting) < WAITING_LIMIT:
                stream.waiting.append(event)
        elif stream.is_next(event):
            self._advance(stream, event)
        elif not stream.is_duplicate(event):
            # A gap is read from MongoDB, this event included. A possible duplicate waits for the comparison.
            stream.waiting += [event] if message.rev <= stream.rev else []
            self._start_backfill(message.conversation_id, stream)

    def backfill_behind(self, revisions: Mapping[str, int], before: Mapping[str, Position]) -> int:
        """Backfill the streams that are behind their stored heads; compare those that are ahead.

        Args:
            revisions: The revisions of stored heads, by conversation.
            before: The positions of the streams from before the heads were read. A head is stored before
                its events are published, so a lower one reveals that the stored history may be another.

        Returns:
            How many streams are behind.
        """
        idle = [(each, rev) for each, rev in revisions.items() if self._is_idle(each)]
        behind = [each for each, rev in idle if self.head(each).rev < rev]
        ahead = [each for each, rev in idle if rev < before[each].rev]
        for conversation_id in dict.fromkeys((*behind, *ahead)):
            stream = self._stream(conversation_id)
            assert stream is not None
            self._start_backfill(conversation_id, stream)
        return len(behind)

    def ids(self) -> list[str]:
        """Return the conversations that have a stream."""
        return list(self._streams)

    async def stop(self) -> None:
        """Cancel the backfills and close all streams."""
        streams = [each for each in self._streams.values() if isinstance(each, Stream)]
        backfills = [each.backfill for each in streams if each.backfill is not None]
        for conversation_id in self.ids():
            self.close(conversation_id)
        await asyncio.gather(*backfills, return_exceptions=True)

    def _stream(self, conversation_id: str) -> Stream | None:
        """Return the stream of a conversation whose events are taken; from now on it has one."""
        found = self._streams.get(conversation_id)
        if isinstance(found, Stream):
            return found
        if conversation_id not in self._streams:
            return None
        seq, rev, epoch = found or (0, None, 0)
        stream = self._streams[conversation_id] = Stream(rev, seq, epoch)
        return stream

    def _is_idle(self, conversation_id: str) -> bool:
        stream = self._streams.get(conversation_id)
        is_backfilled = isinstance(stream, Stream) and stream.backfill is not None
        return stream is not None and stream.rev is not None and not is_backfilled

    def _deliver(self, stream: Stream, event: Numbered) -> None:
        if not isinstance(event, MessageStored):
            for recording in self._recordings.get(event.conversation_id, ()):
                recording.append(event)
        self._delivery.deliver(event, stream.position)

    def _advance(self, stream: Stream, event: Numbered) -> None:
        message = event.message
        stream.advance(message.rev, message.epoch)
        if not isinstance(event, MessageStored):
            self._deliver(stream, event)
        elif message.seq > stream.seq:
            stream.seq = message.seq
            self._delivery.deliver(event, stream.position)
        elif has_changed(message):
            # A redelivered batch publishes an old message with its present content, under the revision
            # of a change whose own event was lost: deliver it as that change.
            self._deliver(stream, changed_event(message, {event.sender.id: event.sender}))

    def _receive_waiting(self, stream: Stream) -> None:
        waiting, stream.waiting = stream.waiting, []
        for event in waiting:
            self.receive(event)

    def _start_backfill(self, conversation_id: str, stream: Stream) -> None:
        gauges.gaps.inc()
        stream.backfill = asyncio.create_task(self._backfill(conversation_id, stream))

    async def _backfill(self, conversation_id: str, stream: Stream) -> None:
        try:
            if not await self._retry(lambda: self._continues(conversation_id, stream)):
                self._replace(conversation_id, stream)
                return
            # The history is the same, so the events up to the stream's revision are duplicates.
            stream.past |= {e.message.epoch for e in stream.waiting if e.message.rev <= (stream.rev or 0)}
            while await self._backfill_in_turn(conversation_id, stream):
                pass
        finally:
            stream.backfill = None
            self._receive_waiting(stream)

    async def _continues(self, conversation_id: str, stream: Stream) -> bool:
        return await self._epochs.continues(conversation_id, Revision(stream.rev or 0, stream.epoch))

    def _replace(self, conversation_id: str, stream: Stream) -> None:
        """Forget what was delivered; the stream waits for `start`, as a new one does."""
        log.warning("gateway.stream.history_replaced", conversation=conversation_id, rev=stream.rev)
        stream.rev, stream.seq, stream.epoch = None, 0, 0
        stream.past.clear()
        self.replaced.add(conversation_id)

    async def _backfill_in_turn(self, conversation_id: str, stream: Stream) -> bool:
        async with self._reading:
            return await self._backfill_page(conversation_id, stream)

    async def _backfill_page(self, conversation_id: str, stream: Stream) -> bool:
        """Deliver the next changes from MongoDB. Returns whether there may be more."""
        rev = stream.rev
        assert rev is not None
        changes = await self._retry(lambda: self._messages.changes(conversation_id, rev, PAGE))
        if not changes:
            return False
        changed = [m for m in changes if m.seq <= stream.seq and has_changed(m)]
        new = await self._read_up_to(conversation_id, stream.seq, max(m.seq for m in changes))
        people = await self._people_of([*changed, *new])
        for event in in_order(Span(rev, changes[-1].rev, stream.epoch), changed, new, people):
            stream.advance(max(stream.rev or 0, event.message.rev), event.message.epoch)
            if isinstance(event, MessageStored):
                stream.seq = event.message.seq
                gauges.backfilled.inc()
            self._deliver(stream, event)
        stream.advance(changes[-1].rev, changes[-1].epoch)
        return len(changes) == PAGE

    async def _read_up_to(self, conversation_id: str, seq: int, last: int) -> list[Message]:
        """Return the messages after number `seq`, up to number `last`."""
        found: list[Message] = []
        while seq < last:
            page = await self._retry(lambda: self._messages.page(conversation_id, PAGE, None, seq))  # noqa: B023 - called at once
            found += [m for m in page if m.seq <= last]
            seq = page[-1].seq if page else last
        return found

    async def _people_of(self, messages: Sequence[Message]) -> dict[str, Person]:
        return await self._retry(lambda: self._people.get({m.sender_id for m in messages}))

    async def _retry(self, read: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await read()
            except Unavailable as error:
                log.warning("gateway.stream.backfill_deferred", error=str(error))
            except Exception:
                log.exception("gateway.stream.backfill_failed")
            await asyncio.sleep(RETRY_SECONDS)
