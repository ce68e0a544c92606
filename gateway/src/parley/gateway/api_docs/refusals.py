"""The responses that refuse: one for each status, in a vocabulary's words."""

from collections.abc import Iterable
from inspect import getdoc

from parley.gateway.api_docs.schemas import Json, Schemas
from parley.gateway.core import errors
from parley.gateway.protocols.serializer import ToPayload
from parley.gateway.rest.mount import STATUSES

GATEWAY = "gateway"
"""Whose the components are that no vocabulary words."""
KINDS: dict[int, tuple[str, str]] = {
    **{
        STATUSES[kind]: (kind.__name__, getdoc(kind) or "")
        for kind in (
            errors.Invalid,
            errors.Unauthorized,
            errors.Forbidden,
            errors.NotFound,
            errors.Conflict,
            errors.RateLimited,
            errors.Unavailable,
        )
    },
    408: ("TooSlow", "The body came too slowly."),
    413: ("TooLarge", "The body is larger than is accepted."),
    414: ("UriTooLong", "The address is longer than 8 KiB."),
    415: ("Unsupported", "The body, or a file in it, is of a type that is not accepted."),
    416: ("RangeNotSatisfiable", "None of the bytes that are wanted exist."),
}
"""The name and the meaning of each status that refuses."""
RETRY_AFTER: Json = {
    "Retry-After": {
        "description": "Seconds to wait.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    }
}
HEADERS: dict[int, Json] = {
    401: {"WWW-Authenticate": {"description": "`Bearer`.", "required": True, "schema": {"type": "string"}}},
    416: {
        "Content-Range": {
            "description": "How many bytes there are.",
            "required": True,
            "schema": {"type": "string", "pattern": r"^bytes \*/[0-9]+$"},
        }
    },
    429: RETRY_AFTER,
    503: RETRY_AFTER,
}


class Refusals:
    """Refers to responses, which become components with the name of their owner."""

    def __init__(
        self, owner: str, schemas: Schemas, refusal: ToPayload, beside: "Refusals | None" = None
    ) -> None:
        self.schemas = schemas
        self.responses: Json = {}
        self._owner = owner
        self._schema = schemas.of_form(refusal)
        self._beside = beside

    def of(self, statuses: Iterable[int]) -> Json:
        """The responses of these statuses, by status."""
        return {str(status): self._of_one(status) for status in statuses}

    def _of_one(self, status: int) -> Json:
        kind, meaning = KINDS[status]
        name = f"{self._owner}.{kind}"
        # An address that is too long is refused by what stands in front, before anybody reads it.
        body = {"content": {"application/json": {"schema": self._worded(status)}}} if status != 414 else {}
        self.responses[name] = {"description": meaning, "headers": HEADERS.get(status, {}), **body}
        return {"$ref": f"#/components/responses/{name}"}

    def _worded(self, status: int) -> Json:
        if self._beside is None or status != 503:
            return self._schema
        # When no gateway can be reached, it is told by what stands in front of them.
        return {"anyOf": [self._schema, self._beside._schema]}
