"""Loading of clients' payloads at a bounded cost: lengths come before elements, and few errors are named."""

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, Literal

from marshmallow import Schema, ValidationError

from parley.gateway.core.errors import Invalid
from parley.gateway.protocols.fields import MAX_REASONS
from parley.gateway.protocols.protocol import Payload
from parley.gateway.protocols.usual_payloads import plan_of
from parley.shared.model import MAX_ID
from parley.shared.tracing import TRACEPARENT

MAX_VALUES = 5_000
"""Values of one payload, those of nested lists and objects included; each may cost an error."""
MAX_NAMES = 500
"""Fields of one object; each unknown one costs an error."""
NAME_LIMIT = MAX_ID
"""Characters of a client's field name that an error returns."""

_plan_of = cache(plan_of)


def load(schema: Schema, payload: Payload, *, unknown: Literal["exclude"] | None = None) -> Payload:
    """Load a payload by a schema. A `traceparent` is for the tracer, and is left out.

    Args:
        schema: The schema.
        payload: The payload.
        unknown: How to treat unknown fields, if not as the schema does.

    Raises:
        Invalid: The payload is not valid; names up to `MAX_REASONS` reasons.
    """
    plan = _plan_of(schema) if unknown is None else None
    usual = plan.load(payload) if plan is not None else None
    if usual is not None:
        return usual
    if TRACEPARENT in payload:
        # Only now: payloads without one, which are most, need not be searched for it.
        without = {name: value for name, value in payload.items() if name != TRACEPARENT}
        return load(schema, without, unknown=unknown)
    if has_too_many_values(payload):
        raise Invalid(
            f"The payload has more than {MAX_VALUES} values, or more than {MAX_NAMES} in one object."
        )
    try:
        loaded: Payload = schema.load(payload, unknown=unknown)
    except ValidationError as error:
        # The traceback's frames refer to the error: without it reference counting frees the payload now,
        # instead of the garbage collector later.
        raise Invalid.fields(field_errors(error.with_traceback(None))) from None
    return loaded


def has_too_many_values(payload: Payload) -> bool:
    """Tell whether a payload has more values than `MAX_VALUES` and `MAX_NAMES` allow.

    No more than those are looked at.
    """
    left = MAX_VALUES
    open_containers: list[dict[str, Any] | list[Any]] = [payload]
    while open_containers:
        container = open_containers.pop()
        left -= len(container)
        if left < 0 or (isinstance(container, dict) and len(container) > MAX_NAMES):
            return True
        values = container.values() if isinstance(container, dict) else container
        open_containers += [each for each in values if isinstance(each, dict | list)]
    return False


def field_errors(error: ValidationError) -> Payload:
    """Return the first reasons of a validation error by the payload's field names, with JSON keys only."""
    messages = error.messages
    found = messages if isinstance(messages, dict) else {"payload": messages}
    kept: Payload = {}
    for path, reason in islice(_reasons(found), MAX_REASONS):
        _add(kept, path, reason)
    return kept


def _reasons(found: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    # Marshmallow uses integers for positions in a list; JSON has strings only.
    if isinstance(found, Mapping):
        for name, inner in found.items():
            yield from _reasons(inner, (*path, str(name)[:NAME_LIMIT]))
    elif isinstance(found, list):
        yield from ((path, reason) for reason in found)
    else:
        yield path, found


def _add(kept: Payload, path: tuple[str, ...], reason: Any) -> None:
    for name in path[:-1]:
        kept = kept.setdefault(name, {})
        if not isinstance(kept, dict):
            # Two long names can be equal once they are cut.
            return
    reasons = kept.setdefault(path[-1], [])
    if isinstance(reasons, list):
        reasons.append(reason)
