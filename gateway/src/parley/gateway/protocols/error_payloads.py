"""How an error is told where a guide does not say."""

from parley.gateway.protocols.serializer import (
    Serializer,
    always,
    anything,
    flag,
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
        "details": optional(anything("details")),
    },
)
REFUSAL = Serializer("Refusal", {"success": always(False), "error": one(ERROR, "")})
