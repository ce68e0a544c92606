"""The outbox of a gateway that traces: the record of a sampled message takes its context to the worker."""

from asyncio import Future
from functools import partial

from msgspec.structs import replace

from parley.gateway.core.errors import ChatError
from parley.gateway.core.ports import Outbox
from parley.shared.partitions import EXCHANGE
from parley.shared.records import Change, NewMessage, Record
from parley.shared.tracing import Tracer, accepted, end_when_done


class TracedOutbox:
    """`Outbox`, with a span for each sampled message from here until the broker has confirmed it."""

    def __init__(self, outbox: Outbox, tracer: Tracer) -> None:
        self._outbox = outbox
        self._tracer = tracer

    def put(self, record: Record) -> "Future[None]":
        request = accepted.get()
        if request is None or not isinstance(record, NewMessage | Change):
            return self._outbox.put(record)
        named = {
            "messaging.message.id": record.message_id,
            "messaging.message.conversation_id": record.conversation_id,
        }
        request.note(named)
        span = self._tracer.start(
            f"publish {EXCHANGE}",
            "producer",
            request.traceparent,
            {
                "messaging.system": "rabbitmq",
                "messaging.operation.type": "send",
                "messaging.operation.name": "publish",
                "messaging.destination.name": EXCHANGE,
                **named,
            },
        )
        try:
            confirmed = self._outbox.put(replace(record, traceparent=span.traceparent))
        except ChatError as error:
            span.end(error.code)
            raise
        confirmed.add_done_callback(partial(end_when_done, span))
        return confirmed
