"""The default error payload, for protocols whose guide does not define one."""

from parley.gateway.protocols.serializer import (
    Serializer,
    any_object,
    constant,
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
        "details": optional(any_object("details")),
    },
)
REFUSAL = Serializer("Refusal", {"success": constant(False), "error": one(ERROR, "")})
