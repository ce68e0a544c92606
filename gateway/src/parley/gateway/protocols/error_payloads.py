"""Payloads of errors: the default refusal, for guides that define none, and the `exception` event."""

from dataclasses import dataclass

from parley.gateway.core.errors import ChatError
from parley.gateway.protocols.protocol import DirectEvent
from parley.gateway.protocols.serializer import (
    Serializer,
    any_object,
    constant,
    flag,
    nullable,
    one,
    optional,
    seconds,
    text,
)

ERROR = Serializer(
    "Error",
    {
        "code": text("code"),
        "message": text("message"),
        "retryable": flag("retryable"),
        "retryAfter": optional(seconds("retry_after")),
        "details": optional(any_object("details")),
    },
)
REFUSAL = Serializer("Refusal", {"success": constant(False), "error": one(ERROR, "")})


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """A refused event whose client asked for no acknowledgement, by the names that the client gave."""

    error: ChatError
    event: str | None
    client_message_id: str | None = None
    temp_id: str | None = None


EXCEPTION = DirectEvent(
    "exception",
    Serializer(
        "Exception",
        {
            "event": nullable(text("event")),
            "error": one(ERROR, "error"),
            "clientMessageId": optional(text("client_message_id")),
            "tempId": optional(text("temp_id")),
        },
    ),
)
"""Reports a refusal in all protocols. Its name is that of https://docs.nestjs.com/websockets/exception-filters."""
