"""The parts that trace: a sampled message takes its context along, any other passes as it is."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from msgspec import UNSET

from parley.gateway.adapters.rabbitmq.outbox import RabbitOutbox
from parley.gateway.adapters.traced_outbox import TracedOutbox
from parley.gateway.bootstrap import Gateway
from parley.gateway.core.errors import Overloaded
from parley.gateway.core.ports import Files
from parley.gateway.live.event_handlers import EventHandlers
from parley.gateway.live.traced_handlers import TRACED, traced
from parley.gateway.settings import Settings
from parley.gateway.sockets.event_dispatcher import EventDispatcher
from parley.persistence_worker.batch import refusal
from parley.persistence_worker.ports import StoreUnavailable
from parley.persistence_worker.traced_batches import TracedEventPublisher, TracedPersister
from parley.shared import mongo
from parley.shared.events import Event, MessageEdited, MessageStored, RecordRefused
from parley.shared.model import Message, Person, now
from parley.shared.records import Deletion, DeliveredMark, Edit, NewMessage, Record
from parley.shared.tracing import accepted

ANN = Person(id="ann")


class FakeSpan:
    """Keeps what it is told; its context is its name and a number."""

    def __init__(self, name: str, parent: str, attributes: Mapping[str, Any], number: int) -> None:
        self.name, self.parent, self.attributes = name, parent, dict(attributes)
        self.traceparent = f"{name.partition(' ')[0]}-{number}"
        self.ends: list[str | None] = []

    def note(self, attributes: Mapping[str, Any]) -> None:
        self.attributes |= attributes

    def end(self, error: str | None = None) -> None:
        self.ends.append(error)


class FakeTracer:
    def __init__(self) -> None:
        self.spans: list[FakeSpan] = []

    def sample(self, name: str, parents: tuple[Any, ...], attributes: Mapping[str, Any]) -> FakeSpan | None:
        return self.start(name, "server", str(parents[0]), attributes) if parents[0] else None

    def start(self, name: str, _kind: Any, parent: str, attributes: Mapping[str, Any]) -> FakeSpan:
        self.spans.append(FakeSpan(name, parent, attributes, len(self.spans)))
        return self.spans[-1]

    def close(self) -> None: ...


class FakeOutbox:
    def __init__(self, error: Exception | None = None) -> None:
        self.records: list[Record] = []
        self.confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._error = error

    def put(self, record: Record) -> "asyncio.Future[None]":
        if self._error is not None:
            raise self._error
        self.records.append(record)
        return self.confirmed


class FakePublisher:
    def __init__(self) -> None:
        self.published: dict[str, Sequence[Event]] = {}

    async def publish_events(self, events_by_room: Mapping[str, Sequence[Event]]) -> None:
        self.published |= events_by_room


class FakePersister:
    """Publishes events for the records that it persists, as a `Persister` does."""

    def __init__(self, publisher: Any, events: Sequence[Event], error: Exception | None = None) -> None:
        self._publisher, self._events, self._error = publisher, events, error
        self.records: Sequence[Record] = ()

    async def persist(self, records: Sequence[Record], *, redelivered: bool = False) -> None:
        self.records = records
        if self._error is not None:
            raise self._error
        await self._publisher.publish_events({"room": self._events})


def message(number: int = 1) -> Message:
    return Message(
        id=f"m{number}", conversation_id="c", sender_id="ann", content="a secret", created_at=now()
    )


def new(number: int = 1, **more: Any) -> NewMessage:
    return NewMessage(id=f"r{number}", message=message(number), sender=ANN, **more)


def stored(number: int = 1, **more: Any) -> MessageStored:
    return MessageStored(record_id=f"r{number}", message=message(number), sender=ANN, **more)


MARK = DeliveredMark(id="r9", conversation_id="c", user_id="ann", seq=1, at=now())


async def test_an_outbox_passes_records_that_are_not_sampled_as_they_are() -> None:
    outbox, tracer = FakeOutbox(), FakeTracer()
    record = new()
    assert TracedOutbox(outbox, tracer).put(record) is outbox.confirmed
    assert outbox.records[0] is record
    assert tracer.spans == []


async def test_a_sampled_record_carries_the_context_of_its_publication() -> None:
    outbox, tracer = FakeOutbox(), FakeTracer()
    request = FakeSpan("accept sendMessage", "", {}, 0)
    edit = Edit(id="r2", conversation_id="c", message_id="m1", user=ANN, content="a secret", at=now())
    deletion = Deletion(id="r3", conversation_id="c", message_id="m1", user_id="ann", at=now())
    token = accepted.set(request)
    try:
        for record in (new(), edit, deletion, MARK):
            TracedOutbox(outbox, tracer).put(record)
    finally:
        accepted.reset(token)
    assert [getattr(r, "traceparent", None) for r in outbox.records] == [
        "publish-0",
        "publish-1",
        "publish-2",
        None,
    ]
    assert [(s.parent, s.attributes["messaging.message.id"]) for s in tracer.spans] == [
        ("accept-0", "m1")
    ] * 3
    assert request.attributes["messaging.message.id"] == "m1"
    assert all(span.ends == [] for span in tracer.spans)
    outbox.confirmed.set_result(None)
    await asyncio.sleep(0)
    assert all(span.ends == [None] for span in tracer.spans)
    assert "a secret" not in str([span.attributes for span in tracer.spans])


async def test_a_publication_that_is_refused_ends_with_its_code() -> None:
    tracer = FakeTracer()
    token = accepted.set(FakeSpan("accept", "", {}, 0))
    try:
        with pytest.raises(Overloaded):
            TracedOutbox(FakeOutbox(Overloaded("too much")), tracer).put(new())
    finally:
        accepted.reset(token)
    assert [span.ends for span in tracer.spans] == [["OVERLOADED"]]


async def test_a_batch_without_a_sampled_record_is_persisted_without_spans() -> None:
    tracer, publisher = FakeTracer(), FakePublisher()
    events = [stored()]
    persister = FakePersister(TracedEventPublisher(publisher, tracer), events)
    await TracedPersister(persister, tracer).persist([new(), MARK])
    assert publisher.published["room"] is events
    assert tracer.spans == []


async def test_only_the_sampled_record_of_a_batch_has_spans_and_its_event_their_context() -> None:
    tracer, publisher = FakeTracer(), FakePublisher()
    persister = FakePersister(TracedEventPublisher(publisher, tracer), [stored(1), stored(2)])
    await TracedPersister(persister, tracer).persist(
        [new(1), new(2, traceparent="publish-7")], redelivered=True
    )
    assert [event.traceparent for event in publisher.published["room"]] == [UNSET, "announce-1"]  # type: ignore[union-attr]
    assert [(s.name, s.parent, s.ends) for s in tracer.spans] == [
        ("persist parley.records", "publish-7", [None]),
        ("announce", "persist-0", [None]),
    ]
    assert tracer.spans[0].attributes["messaging.message.id"] == "m2"
    assert tracer.spans[0].attributes["messaging.batch.message_count"] == 2
    assert tracer.spans[0].attributes["parley.redelivered"] is True


async def test_an_event_of_several_edits_carries_the_context_of_a_sampled_one() -> None:
    tracer, publisher = FakeTracer(), FakePublisher()
    edited = MessageEdited(message=message(), sender=ANN, record_ids=("r1", "r2"))
    persister = FakePersister(TracedEventPublisher(publisher, tracer), [edited])
    edits = [
        Edit(id="r1", conversation_id="c", message_id="m1", user=ANN, content="a secret", at=now()),
        Edit(
            id="r2",
            conversation_id="c",
            message_id="m1",
            user=ANN,
            content="a secret",
            at=now(),
            traceparent="publish-7",
        ),
    ]
    await TracedPersister(persister, tracer).persist(edits)
    (event,) = publisher.published["room"]
    assert isinstance(event, MessageEdited)
    assert event.traceparent == "announce-1"


async def test_an_attempt_that_fails_ends_its_spans_with_the_type_of_the_error() -> None:
    tracer = FakeTracer()
    persister = FakePersister(FakePublisher(), [], StoreUnavailable("a secret"))
    with pytest.raises(StoreUnavailable):
        await TracedPersister(persister, tracer).persist([new(1, traceparent="publish-7")])
    assert [span.ends for span in tracer.spans] == [["StoreUnavailable"]]


@pytest.mark.parametrize("tracer", [None, FakeTracer()], ids=["off", "on"])
async def test_a_gateway_is_made_of_parts_that_trace_only_with_a_tracer(tracer: FakeTracer | None) -> None:
    settings = Settings(node_name="g1", jwt_secret=secrets.token_hex(32))
    async with mongo.connect("mongodb://127.0.0.1:9/parley", connect=False) as database:
        gateway = Gateway(settings, database, cast(Files, None), tracer=tracer)
    namespace = gateway.sockets.server.namespace_handlers["/chat"]
    stored = gateway.live.router._handlers[MessageStored]
    found = [
        type(namespace._dispatcher) is EventDispatcher,
        type(gateway.adapters.admission._outbox) is RabbitOutbox,
        stored.__module__ == EventHandlers.__module__,
    ]
    assert found == [tracer is None] * 3


def test_a_refusal_carries_the_context_of_its_record() -> None:
    sampled = refusal(new(1, traceparent="publish-7"), "FAILED", "It failed.", failed=True)
    assert sampled.traceparent == "publish-7"
    assert refusal(new(), "FAILED", "It failed.", failed=True).traceparent is UNSET
    assert refusal(MARK, "FAILED", "It failed.", failed=True).traceparent is UNSET


def test_a_gateway_s_write_of_a_sampled_event_is_a_span() -> None:
    handled: list[Any] = []
    tracer = FakeTracer()
    handlers = traced(dict.fromkeys(TRACED, lambda _room, event: handled.append(event)), tracer)
    handlers[MessageStored]("room", stored())
    assert tracer.spans == []
    handlers[MessageStored]("room", stored(traceparent="announce-1"))
    refused = refusal(new(1, traceparent="announce-2"), "NOT_FOUND", "a secret", failed=False)
    handlers[RecordRefused]("room", refused)
    assert len(handled) == 3
    assert [(s.name, s.parent, s.ends) for s in tracer.spans] == [
        ("write stored", "announce-1", [None]),
        ("write refused", "announce-2", [None]),
    ]
    assert all(span.attributes["messaging.message.id"] == "m1" for span in tracer.spans)
    assert tracer.spans[0].attributes["parley.deliveries"] == 0
    assert "a secret" not in str([span.attributes for span in tracer.spans])
