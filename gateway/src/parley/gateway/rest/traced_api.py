"""The REST routes of a gateway that traces: a span for each sampled request that writes."""

from typing import Any

from aiohttp import hdrs, web

from parley.gateway.protocols.protocol import ClientProtocol, Route
from parley.gateway.rest.mount import Handler, RestApi
from parley.shared.tracing import TRACEPARENT, Tracer, accepted


class TracedRestApi(RestApi):
    """Serves the routes of all protocols, those that write with spans where they are sampled.

    Args:
        tracer: The tracer.
        parts: The arguments of `RestApi`.
    """

    def __init__(self, tracer: Tracer, **parts: Any) -> None:
        super().__init__(**parts)
        self._tracer = tracer

    def handler(self, protocol: ClientProtocol, route: Route) -> Handler:
        handle = super().handler(protocol, route)
        name = f"accept {route.method} {route.path}"
        attributes = {"http.request.method": route.method, "http.route": route.path}

        async def traced(request: web.Request) -> web.Response:
            span = self._tracer.sample(name, (request.headers.get(TRACEPARENT),), attributes)
            if span is None:
                return await handle(request)
            token = accepted.set(span)
            error: str | None = "cancelled"
            try:
                response = await handle(request)
                span.note({"http.response.status_code": response.status})
                error = str(response.status) if response.status >= web.HTTPBadRequest.status_code else None
                return response
            except web.HTTPException as refusal:
                error = str(refusal.status)
                raise
            finally:
                accepted.reset(token)
                span.end(error)

        return handle if route.method == hdrs.METH_GET else traced
