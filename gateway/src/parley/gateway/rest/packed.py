"""Refuses bodies that are packed, before anything unpacks them: little of them may be much."""

from aiohttp import web
from aiohttp.typedefs import Handler

from parley.gateway.core.errors import Unsupported
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.rest.mount import refusal


@web.middleware
async def refuse_packed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let only those through whose body is as it is (RFC 9110, section 8.4)."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() in ("", "identity"):
        return await handler(request)
    answer = refusal(REFUSAL, Unsupported("A body must not be packed: no Content-Encoding is accepted."))
    answer.headers["Accept-Encoding"] = "identity"
    return answer
