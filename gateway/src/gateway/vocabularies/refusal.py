"""How an error is told where a guide does not say."""

from gateway.vocabularies.shape import Shape, always, anything, flag, one, optional, seconds, text

ERROR = Shape(
    "Error",
    {
        "code": text("code"),
        "message": text("message"),
        "retryable": flag("retryable"),
        "retryAfter": optional(seconds("retry_after")),
        "details": optional(anything("details")),
    },
)
REFUSAL = Shape("Refusal", {"success": always(False), "error": one(ERROR, "")})
