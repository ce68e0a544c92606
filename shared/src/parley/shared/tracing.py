"""Tracing: the port, and W3C Trace Context. Without an endpoint there is no tracer, and nothing calls one.

A trace follows a message from the gateway that accepts it, over the broker and a worker, to every gateway
that writes it. The accepting gateway decides whether it is sampled. Only a sampled message carries a context:
the field `traceparent` of its record and of its events, https://www.w3.org/TR/trace-context/.
"""

import re
from asyncio import Future
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Literal, NamedTuple, Protocol

from parley.shared import daemon_threads
from parley.shared.settings import SharedSettings

TRACEPARENT = "traceparent"
"""The name of the context in HTTP headers and in clients' payloads."""

_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_LENGTH = 55
_SAMPLED = 1

Kind = Literal["server", "producer", "consumer"]
Attributes = Mapping[str, str | int]


class TraceContext(NamedTuple):
    """A span of another process, as a `traceparent` names it."""

    trace_id: int
    span_id: int
    is_sampled: bool


class Span(Protocol):
    """A step of a sampled message.

    Attributes:
        traceparent: The context that makes other spans children of this one.
    """

    traceparent: str

    def note(self, attributes: Attributes) -> None:
        """Add attributes: names, ids and counts. Never content, and never a token."""

    def end(self, error: str | None = None) -> None:
        """End the step; `error` is the code or the type of what made it fail."""


class Tracer(Protocol):
    """Makes spans. It never raises, and never waits: spans that cannot be exported are dropped."""

    def sample(self, name: str, parents: tuple[Any, ...], attributes: Attributes) -> Span | None:
        """Decide whether a request is traced, and start its span if so.

        Args:
            name: The span's name.
            parents: Values that clients gave as `traceparent`, of any type; the first valid one counts.
            attributes: The span's first attributes.
        """

    def start(self, name: str, kind: Kind, parent: str, attributes: Attributes) -> Span:
        """Start the span of a sampled message; an invalid `parent` begins a trace of its own."""

    def close(self) -> None:
        """Export what waits, for a bounded time; blocks."""


accepted: ContextVar[Span | None] = ContextVar("accepted", default=None)
"""The span of the request that is being handled, if it is sampled."""


def parse(text: Any) -> TraceContext | None:
    """Parse a `traceparent`; None if it is of another type or form."""
    if not isinstance(text, str) or len(text) != _LENGTH or (found := _FORM.fullmatch(text)) is None:
        return None
    trace_id, span_id, flags = (int(each, 16) for each in found.groups())
    return TraceContext(trace_id, span_id, bool(flags & _SAMPLED))


def end_when_done(span: Span, future: "Future[Any]") -> None:
    """End a span with the outcome of a future: a callback of it, behind the span."""
    if future.cancelled():
        span.end("cancelled")
        return
    error = future.exception()
    span.end(None if error is None else kind_of(error))


def kind_of(error: BaseException) -> str:
    """Return what a span tells of an error: its code or its type. Its text may quote a message."""
    return str(getattr(error, "code", type(error).__name__))


@asynccontextmanager
async def open_tracer(settings: SharedSettings, service: str, instance: str) -> AsyncIterator[Tracer | None]:
    """Open the tracer of a service; None if no endpoint is set.

    Args:
        settings: The settings.
        service: The service's name in traces.
        instance: The name of this process among those of the service.
    """
    if not settings.otel_exporter_otlp_endpoint:
        yield None
        return
    # Imported here: it takes 0.3 s and 20 MB, which a service without tracing does not pay.
    from parley.shared.tracing_otlp import OtlpTracer

    tracer = OtlpTracer(settings, service, instance)
    try:
        yield tracer
    finally:
        await daemon_threads.run(tracer.close)
