"""How an error is told where a guide does not say."""

from gateway.vocabularies.shape import Shape, always, anything, flag, one, optional, text

ERROR = Shape(
    "Error",
    {
        "code": text("code"),
        "message": text("message"),
        "retryable": flag("retryable"),
        "details": optional(anything("details")),
    },
)
REFUSAL = Shape("Refusal", {"success": always(False), "error": one(ERROR, "")})
