"""A receiver of traces by OTLP over HTTP, which can be told to hang or to fail."""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class ReceivedSpan:
    """A span, with the service and the process that it comes from; times in ns since 1970."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    service: str
    instance: str
    began: int
    ended: int
    error: str | None
    attributes: dict[str, Any]


class OtlpReceiver:
    """Keeps all spans that it receives at `url`, and the headers of the last request."""

    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        self.headers: dict[str, str] = {}
        self.status = 200
        self.answers = asyncio.Event()
        """Requests wait for it: cleared, the receiver hangs."""
        self.answers.set()
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/traces", self._receive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.answers.set()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The endpoint that a service is set to."""
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    def of(self, trace_id: str) -> list[ReceivedSpan]:
        """Return the spans of a trace, in order of arrival."""
        return [span for span in self.spans if span.trace_id == trace_id]

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        await self.answers.wait()
        if self.status != 200:
            return web.Response(status=self.status)
        self.headers = dict(request.headers)
        self.spans += _decoded(body)
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )


def _decoded(body: bytes) -> list[ReceivedSpan]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        _span(span, _values(of_process.resource.attributes))
        for of_process in request.resource_spans
        for scope in of_process.scope_spans
        for span in scope.spans
    ]


def _span(span: Any, resource: dict[str, Any]) -> ReceivedSpan:
    attributes = _values(span.attributes)
    return ReceivedSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=type(span).SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        service=resource["service.name"],
        instance=resource["service.instance.id"],
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        error=attributes.pop("error.type", None),
        attributes=attributes,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
