"""The event dispatcher of a gateway that traces: a span from a client's event to its acknowledgement."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from parley.gateway.core.errors import RateLimited
from parley.gateway.core.eventual import Eventual, is_awaitable
from parley.gateway.live.sessions import Session
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.sockets.event_dispatcher import EventDispatcher
from parley.gateway.transport.answers import DeferredAck, Refusal
from parley.shared.model import MAX_ID
from parley.shared.tracing import TRACEPARENT, Span, Tracer, accepted, end_when_done, kind_of

Handshake = Callable[[Session], str | None]
"""Returns the `traceparent` of the request that opened a socket's connection."""


class TracedDispatcher(EventDispatcher):
    """Dispatches events, those that send or change a message with spans where they are sampled.

    Args:
        tracer: The tracer.
        protocols: The protocols whose messages are traced.
        handshake: The context of events that have none of their own.
        parts: The arguments of `EventDispatcher`.
    """

    def __init__(
        self, tracer: Tracer, protocols: Sequence[ClientProtocol], handshake: Handshake, **parts: Any
    ) -> None:
        super().__init__(**parts)
        self._tracer = tracer
        self._handshake = handshake
        self._conversation_field = _conversation_fields(protocols)

    def dispatch(self, session: Session, event: Any, args: list[Any], size: int = 0) -> Eventual[Any]:
        span = self._sample(session, event, args)
        if span is None:
            return super().dispatch(session, event, args, size)
        token = accepted.set(span)
        try:
            answer = super().dispatch(session, event, args, size)
        except RateLimited as error:
            span.end(error.code)
            raise
        finally:
            accepted.reset(token)
        return _answer_later(span, answer) if is_awaitable(answer) else _answered(span, answer)

    def _sample(self, session: Session, event: Any, args: Sequence[Any]) -> Span | None:
        field = self._conversation_field.get(event) if isinstance(event, str) else None
        if field is None or not args or not isinstance(args[0], dict):
            return None
        payload = args[0]
        span = self._tracer.sample(
            f"accept {event}", (payload.get(TRACEPARENT), self._handshake(session)), {"parley.event": event}
        )
        conversation_id = payload.get(field)
        if span is not None and isinstance(conversation_id, str | int):
            span.note({"messaging.message.conversation_id": str(conversation_id)[:MAX_ID]})
        return span


def _conversation_fields(protocols: Sequence[ClientProtocol]) -> Mapping[str, str]:
    """Return the events that send or change a message, with the field that names its conversation."""
    return {
        event: inbound.message_to
        for protocol in protocols
        for event, inbound in protocol.inbound.items()
        if inbound.message_to is not None
    }


async def _answer_later(span: Span, answer: Coroutine[Any, Any, Any]) -> Any:
    token = accepted.set(span)
    try:
        return _answered(span, await answer)
    except BaseException as error:
        span.end(kind_of(error))
        raise
    finally:
        accepted.reset(token)


def _answered(span: Span, answer: Any) -> Any:
    """End the span, or let it end when the broker has confirmed the message."""
    if isinstance(answer, DeferredAck):
        answer.confirmed.add_done_callback(partial(end_when_done, span))
    else:
        span.end(answer.error.code if isinstance(answer, Refusal) else None)
    return answer
