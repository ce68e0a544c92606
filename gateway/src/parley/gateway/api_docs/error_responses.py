"""OpenAPI of error responses: one component for each status and protocol."""

from collections.abc import Iterable
from inspect import getdoc

from parley.gateway.api_docs.schemas import Json, Schemas
from parley.gateway.core import errors
from parley.gateway.protocols.serializer import ToPayload
from parley.gateway.rest.mount import STATUSES

GATEWAY = "gateway"
"""The owner of components that belong to no protocol."""
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
    408: ("TooSlow", "The body arrives too slowly."),
    413: ("TooLarge", "The body is too large."),
    414: ("UriTooLong", "The address is longer than 16 KiB."),
    415: ("Unsupported", "The body, or a file in it, is of a type that is not accepted."),
    416: ("RangeNotSatisfiable", "The file has none of the requested bytes."),
}
"""The name and description of each error status."""
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
            "description": "The file's size in bytes.",
            "required": True,
            "schema": {"type": "string", "pattern": r"^bytes \*/[0-9]+$"},
        }
    },
    429: RETRY_AFTER,
    503: RETRY_AFTER,
}
BY_OTHERS = (413, 415, 503)
"""Statuses that may also come with the default payload: nginx sends it when it can reach no gateway, or for a
body beyond its own limit; the gateway for an encoded body, before it looks the path up.
"""


class ErrorResponses:
    """Collects error responses as components, under the name of their owner."""

    def __init__(
        self, owner: str, schemas: Schemas, refusal: ToPayload, beside: "ErrorResponses | None" = None
    ) -> None:
        self.schemas = schemas
        self.responses: Json = {}
        self._owner = owner
        self._schema = schemas.of_output(refusal)
        self._beside = beside

    def of(self, statuses: Iterable[int]) -> Json:
        """Return references to the responses of these statuses, by status."""
        return {str(status): self._of_one(status) for status in statuses}

    def _of_one(self, status: int) -> Json:
        kind, meaning = KINDS[status]
        name = f"{self._owner}.{kind}"
        body = {"application/json": {"schema": self._schema_of(status)}}
        self.responses[name] = {
            "description": meaning,
            "headers": HEADERS.get(status, {}),
            "content": body,
        }
        return {"$ref": f"#/components/responses/{name}"}

    def _schema_of(self, status: int) -> Json:
        if self._beside is None or status not in BY_OTHERS:
            return self._schema
        return {"anyOf": [self._schema, self._beside._schema]}
