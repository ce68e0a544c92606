"""Requests that break the protocol of Engine.IO, and the responses to them."""

from parley.gateway.core.errors import ChatError, Forbidden, Invalid, NotFound
from parley.gateway.protocols.error_payloads import REFUSAL


class RequestRefused(Exception):
    """A request that breaks the protocol; it is answered with status 400."""

    def __init__(self, code: int, message: str, error: ChatError) -> None:
        super().__init__(message)
        self.body = {"code": code, "message": message, **REFUSAL(error)}


# Codes and messages are those of the reference implementation, beside the error by the default schema.
UNKNOWN_TRANSPORT = (0, "Transport unknown", Invalid("Transport unknown"))
UNKNOWN_SESSION = (1, "Session ID unknown", NotFound("Session ID unknown"))
BAD_METHOD = (2, "Bad handshake method", Invalid("Bad handshake method"))
BAD_REQUEST = (3, "Bad request", Invalid("Bad request"))
FORBIDDEN = (4, "Forbidden", Forbidden("Forbidden"))
UNSUPPORTED_VERSION = (5, "Unsupported protocol version", Invalid("Unsupported protocol version"))
