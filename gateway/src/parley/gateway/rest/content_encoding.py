"""Refuse compressed request bodies: a small one may expand to more than the gateway can hold."""

from aiohttp import web
from aiohttp.typedefs import Handler

from parley.gateway.core.errors import Unsupported
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.rest.mount import error_response


@web.middleware
async def reject_encoded_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 415 to a request whose body has a `Content-Encoding` (RFC 9110, section 8.4)."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() in ("", "identity"):
        return await handler(request)
    error = Unsupported("No Content-Encoding is accepted; send the body uncompressed.")
    response = error_response(REFUSAL, error)
    response.headers["Accept-Encoding"] = "identity"
    return response
