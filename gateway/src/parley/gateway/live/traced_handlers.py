"""The handlers of a gateway that traces: a span for what it does with the event of a sampled message."""

from collections.abc import Mapping
from typing import Any, get_args

from msgspec import UNSET

from parley.gateway import gauges
from parley.gateway.live.event_handlers import Handler, Handlers
from parley.shared import events as e
from parley.shared.tracing import Tracer, kind_of

TRACED = (*get_args(e.Numbered), e.MessageRepeated, e.RecordRefused)


def traced(handlers: Handlers, tracer: Tracer) -> Handlers:
    """Return the handlers, those of the events of messages with spans."""
    return {**handlers, **{kind: _traced(handlers[kind], kind, tracer) for kind in TRACED}}


def _traced(handler: Handler, kind: Any, tracer: Tracer) -> Handler:
    name = f"write {kind.__struct_config__.tag}"

    def handle(room: str, event: Any) -> None:
        if event.traceparent is UNSET:
            handler(room, event)
            return
        span = tracer.start(name, "consumer", event.traceparent, _attributes(event))
        before = _deliveries()
        try:
            handler(room, event)
        except BaseException as error:
            span.end(kind_of(error))
            raise
        # None: a duplicate, or one behind a gap, which waits for the events before it.
        span.note({"parley.deliveries": _deliveries() - before})
        span.end()

    return handle


def _attributes(event: Any) -> Mapping[str, str | int]:
    message_id = event.message_id if isinstance(event, e.RecordRefused) else event.message.id
    return {
        "messaging.system": "redis",
        "messaging.operation.type": "process",
        "messaging.operation.name": "write",
        "messaging.message.conversation_id": event.conversation_id,
        **({"messaging.message.id": message_id} if message_id else {}),
        **({"error.type": event.code} if isinstance(event, e.RecordRefused) else {}),
    }


def _deliveries() -> int:
    return sum(gauges.deliveries.of.values())
