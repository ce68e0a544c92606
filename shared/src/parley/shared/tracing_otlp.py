"""The tracer of OpenTelemetry, which exports spans by OTLP over HTTP from a thread of its own."""

import logging
from collections.abc import Sequence
from contextvars import copy_context
from importlib.metadata import version
from random import random
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan
from opentelemetry.util.re import parse_env_headers

from parley.shared.settings import SharedSettings
from parley.shared.tracing import Attributes, Kind, Span, TraceContext, parse

log = structlog.get_logger()

PARENT_DECIDES = "parentbased_traceidratio"
PATH = "v1/traces"
CLOSE_SECONDS = 1.0
"""Time to export the last spans when a service stops; those left after it are lost."""
LOW_BITS = (1 << 64) - 1
"""The part of a trace's id that a ratio is compared with, as OpenTelemetry's own samplers do."""
KINDS: dict[Kind, SpanKind] = {
    "server": SpanKind.SERVER,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}


class OtlpSpan:
    """`Span` of OpenTelemetry."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: SdkSpan) -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-01"

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def end(self, error: str | None = None) -> None:
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class ReportingExporter(SpanExporter):
    """Logs once that spans are lost, and once that they are not any more."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._works = True
        self._is_shut = False
        # A new thread has none of the fields that all lines of the service have.
        self._context = copy_context()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._is_shut:
            return SpanExportResult.FAILURE
        result = self._exporter.export(spans)
        works = result is SpanExportResult.SUCCESS
        if works != self._works:
            self._works = works
            self._context.run(self._report)
        return result

    def _report(self) -> None:
        if self._works:
            log.info("shared.tracing.export_resumed", endpoint=self._endpoint)
        else:
            log.warning("shared.tracing.export_failed", endpoint=self._endpoint)

    def shutdown(self) -> None:
        if not self._is_shut:
            self._is_shut = True
            self._exporter.shutdown()


class OtlpTracer:
    """`Tracer` of OpenTelemetry. At most 2,048 spans wait; the oldest are dropped for new ones."""

    def __init__(self, settings: SharedSettings, service: str, instance: str) -> None:
        # Its lines would repeat with every batch while the endpoint is away.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._ratio = settings.otel_traces_sampler_arg
        self._parent_decides = settings.otel_traces_sampler == PARENT_DECIDES
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create(
                {
                    "service.namespace": "parley",
                    "service.name": service,
                    "service.instance.id": instance,
                    "service.version": version("parley-shared"),
                }
            ),
            shutdown_on_exit=False,
        )
        self._exporter = _exporter(settings)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("parley", version("parley-shared"))

    def sample(self, name: str, parents: tuple[Any, ...], attributes: Attributes) -> Span | None:
        parent = next(filter(None, map(parse, parents)), None)
        return self._start(name, "server", parent, attributes) if self._is_sampled(parent) else None

    def _is_sampled(self, parent: TraceContext | None) -> bool:
        if parent is None:
            return random() < self._ratio
        if self._parent_decides:
            return parent.is_sampled
        return parent.trace_id & LOW_BITS < self._ratio * (LOW_BITS + 1)

    def start(self, name: str, kind: Kind, parent: str, attributes: Attributes) -> Span:
        return self._start(name, kind, parse(parent), attributes)

    def _start(self, name: str, kind: Kind, parent: TraceContext | None, attributes: Attributes) -> Span:
        # An empty context, not the current one: the parent is what the caller says.
        context = Context() if parent is None else _context(parent)
        return OtlpSpan(
            self._tracer.start_span(name, context=context, kind=KINDS[kind], attributes=attributes)
        )

    def close(self) -> None:
        # The provider alone would wait for 30 s while the endpoint does not answer.
        flush = Thread(target=self._provider.shutdown, daemon=True)
        flush.start()
        flush.join(CLOSE_SECONDS)
        self._exporter.shutdown()


def _context(parent: TraceContext) -> Context:
    span_context = SpanContext(
        parent.trace_id, parent.span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
    return set_span_in_context(NonRecordingSpan(span_context), Context())


def _exporter(settings: SharedSettings) -> SpanExporter:
    endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/")
    headers = parse_env_headers(settings.otel_exporter_otlp_headers, liberal=True)
    # The rest of the URL may hold a password.
    where = urlsplit(endpoint)
    shown = f"{where.hostname}:{where.port}" if where.port else str(where.hostname)
    return ReportingExporter(OTLPSpanExporter(f"{endpoint}/{PATH}", headers=headers), shown)
