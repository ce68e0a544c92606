"""The persister and the publisher of a worker that traces: spans for the sampled records of a batch."""

from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar

from msgspec import UNSET
from msgspec.structs import replace

from parley.persistence_worker.group_commit import Persists
from parley.persistence_worker.ports import EventPublisher
from parley.shared.events import Event, records_of
from parley.shared.partitions import EXCHANGE
from parley.shared.records import Change, NewMessage, Record
from parley.shared.tracing import Span, Tracer, kind_of

Spans = Mapping[str, Span]
"""The spans of sampled records, by record id."""

ANNOUNCE = {
    "messaging.system": "redis",
    "messaging.operation.type": "send",
    "messaging.operation.name": "announce",
}
persisting: ContextVar[Spans | None] = ContextVar("persisting", default=None)
"""The spans of the batch that is being persisted, if it has any."""


class TracedPersister:
    """`Persists`, with a span for each sampled record from its batch's begin until it is announced."""

    def __init__(self, persister: Persists, tracer: Tracer) -> None:
        self._persister = persister
        self._tracer = tracer

    async def persist(self, records: Sequence[Record], *, redelivered: bool = False) -> None:
        spans = self._start(records, redelivered)
        if not spans:
            await self._persister.persist(records, redelivered=redelivered)
            return
        token = persisting.set(spans)
        error: str | None = None
        try:
            await self._persister.persist(records, redelivered=redelivered)
        except BaseException as raised:
            error = kind_of(raised)
            raise
        finally:
            persisting.reset(token)
            for span in spans.values():
                span.end(error)

    def _start(self, records: Sequence[Record], redelivered: bool) -> Spans:
        of_batch = {"messaging.batch.message_count": len(records), "parley.redelivered": redelivered}
        return {
            record.id: self._tracer.start(
                f"persist {EXCHANGE}", "consumer", record.traceparent, {**of_batch, **_named(record)}
            )
            for record in records
            if isinstance(record, NewMessage | Change) and record.traceparent is not UNSET
        }


def _named(record: NewMessage | Change) -> Mapping[str, str]:
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.type": "process",
        "messaging.operation.name": "persist",
        "messaging.destination.name": EXCHANGE,
        "messaging.message.id": record.message_id,
        "messaging.message.conversation_id": record.conversation_id,
    }


class TracedEventPublisher:
    """`EventPublisher`, whose events of sampled records take the context of their announcement along."""

    def __init__(self, publisher: EventPublisher, tracer: Tracer) -> None:
        self._publisher = publisher
        self._tracer = tracer

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        spans = persisting.get()
        if spans is None:
            await self._publisher.publish_events(events_by_room)
            return
        announced = self._start(spans, events_by_room.values())
        rooms = {room: [_traced(e, announced) for e in events] for room, events in events_by_room.items()}
        try:
            await self._publisher.publish_events(rooms)
        finally:
            for span in announced.values():
                span.end()

    def _start(self, spans: Spans, batches: Iterable[Sequence[Event]]) -> Spans:
        settled = {record_id for events in batches for event in events for record_id in records_of(event)}
        return {
            record_id: self._tracer.start("announce", "producer", span.traceparent, ANNOUNCE)
            for record_id, span in spans.items()
            if record_id in settled
        }


def _traced(event: Event, announced: Spans) -> Event:
    """Return an event with the context of the first of its records that is sampled."""
    for record_id in records_of(event):
        if record_id in announced:
            return replace(event, traceparent=announced[record_id].traceparent)
    return event
