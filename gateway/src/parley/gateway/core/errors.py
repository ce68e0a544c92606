"""Everything that can be wrong with what a client asks for."""

from collections.abc import Mapping, Sequence
from typing import Any


class ChatError(Exception):
    """A refusal: `code` for programs, `message` for people, `retryable` when the same may succeed later."""

    code = "INTERNAL"
    retryable = False
    retry_after: float | None = None
    """Seconds after which the same may succeed, if that is known."""

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class Unauthorized(ChatError):
    """The token is missing, or cannot be trusted."""

    code = "UNAUTHORIZED"


class Forbidden(ChatError):
    """A member may not do this here."""

    code = "FORBIDDEN"


class NotFound(ChatError):
    """There is no such thing, or none that the asker may know of."""

    code = "NOT_FOUND"


class Invalid(ChatError):
    """The payload makes no sense; `details` names the fields."""

    code = "INVALID"

    @classmethod
    def field(cls, name: str, *reasons: str) -> "Invalid":
        """One field is wrong."""
        return cls.fields({name: reasons})

    @classmethod
    def fields(cls, reasons: Mapping[str, Any]) -> "Invalid":
        """Some fields are wrong, as a map from name to reasons."""
        first = next(iter(reasons), "payload")
        return cls(f"{first}: {_first_reason(reasons.get(first))}", details=dict(reasons))


class UnknownEvent(ChatError):
    """No such event in the vocabulary that the socket speaks."""

    code = "UNKNOWN_EVENT"


class Conflict(ChatError):
    """It contradicts what is there already."""

    code = "CONFLICT"


class Unsupported(ChatError):
    """A file is of a type that is not accepted."""

    code = "UNSUPPORTED_TYPE"


class TooLarge(ChatError):
    """A file has more bytes than are accepted."""

    code = "TOO_LARGE"


class Unavailable(ChatError):
    """A part of the system is away."""

    code = "UNAVAILABLE"
    retryable = True


class RateLimited(ChatError):
    """One user does too much; the same may succeed after `retry_after` seconds."""

    code = "RATE_LIMITED"
    retryable = True

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = round(retry_after, 3)


class Overloaded(ChatError):
    """There is more to do than can be done in time."""

    code = "OVERLOADED"
    retryable = True


def _first_reason(reasons: Any) -> str:
    while isinstance(reasons, Mapping) and reasons:
        reasons = next(iter(reasons.values()))
    if isinstance(reasons, Sequence) and not isinstance(reasons, str) and reasons:
        return _first_reason(reasons[0])
    return str(reasons)
