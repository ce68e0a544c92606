"""Errors: the reasons for which a command is refused."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any


class ChatError(Exception):
    """A command is refused.

    Attributes:
        code: The error for programs.
        message: The error for people.
        retryable: Whether the same command may succeed later.
        retry_after: Seconds after which it may succeed, if that is known.
        details: More about it, such as the wrong fields and their reasons.
    """

    code = "INTERNAL"
    retryable = False
    retry_after: float | None = None

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class Unauthorized(ChatError):
    """The token is missing or not valid."""

    code = "UNAUTHORIZED"


class Forbidden(ChatError):
    """The user may see the subject of the command, but may not do this."""

    code = "FORBIDDEN"


class NotFound(ChatError):
    """The subject of the command does not exist, or the user may not see it."""

    code = "NOT_FOUND"


class Invalid(ChatError):
    """The payload is not valid; `details` holds the reasons by field."""

    code = "INVALID"

    @classmethod
    def field(cls, name: str, *reasons: str) -> "Invalid":
        """Return the error for one wrong field."""
        return cls.fields({name: reasons})

    @classmethod
    def fields(cls, reasons: Mapping[str, Any]) -> "Invalid":
        """Return the error for wrong fields, given the reasons by field."""
        first = next(iter(reasons), "payload")
        return cls(f"{first}: {_first_reason(reasons.get(first))}", details=dict(reasons))


class UnknownEvent(ChatError):
    """The protocol of the socket has no such event."""

    code = "UNKNOWN_EVENT"


class Conflict(ChatError):
    """The command contradicts the stored state."""

    code = "CONFLICT"


class Unsupported(ChatError):
    """The file's type is not accepted."""

    code = "UNSUPPORTED_TYPE"


class TooLarge(ChatError):
    """The body or file is too large."""

    code = "TOO_LARGE"


class Unavailable(ChatError):
    """A server that the command needs is unavailable."""

    code = "UNAVAILABLE"
    retryable = True


class RateLimited(ChatError):
    """A rate limit is exceeded; the command may succeed after `retry_after` seconds."""

    code = "RATE_LIMITED"
    retryable = True

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        # Rounded up: a client that retries a moment too early is refused again.
        self.retry_after = ceil(retry_after * 1_000) / 1_000


class Overloaded(ChatError):
    """The system has more work than it can do in time."""

    code = "OVERLOADED"
    retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def _first_reason(reasons: Any) -> str:
    while isinstance(reasons, Mapping) and reasons:
        reasons = next(iter(reasons.values()))
    if isinstance(reasons, Sequence) and not isinstance(reasons, str) and reasons:
        return _first_reason(reasons[0])
    return str(reasons)
