"""Plans that load the usual payloads, which are valid, at a tenth of marshmallow's cost.

A plan loads a payload as marshmallow does, or leaves it to marshmallow: it finds no payload invalid.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, missing

from parley.gateway.protocols.fields import (
    BoundedList,
    Id,
    InboundSchema,
    NumericId,
    NumericServerId,
    ServerId,
    Uuid,
    UuidAsSent,
)
from parley.shared.model import MAX_ID

CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Payload = dict[str, Any]
Convert = Callable[[Any], Any]
"""Loads a value; raises `_Unusual` or `ValidationError` if that is marshmallow's to decide."""


class _Unusual(Exception):
    """Marshmallow decides. Raised as a class: a lasting instance would keep the frames of all its raises."""


@dataclass(frozen=True, slots=True)
class _Step:
    """Loads one field: its name in the payload, its name in the result, and its value if it is not there."""

    key: str
    name: str
    convert: Convert
    is_required: bool
    default: Any


class Plan:
    """Loads the payloads of one schema."""

    def __init__(self, steps: list[_Step]) -> None:
        self._steps = steps

    def load(self, payload: Payload) -> Payload | None:
        """Return the loaded payload, or None if marshmallow has to load it."""
        loaded: Payload = {}
        unread = len(payload)
        try:
            for step in self._steps:
                value = payload.get(step.key, missing)
                if value is not missing:
                    unread -= 1
                if value is not missing and value is not None:
                    loaded[step.name] = step.convert(value)
                elif step.is_required:
                    return None
                elif step.default is not missing:
                    loaded[step.name] = step.default() if callable(step.default) else step.default
        except (ValidationError, _Unusual):
            return None
        return None if unread else loaded


def plan_of(schema: Schema) -> Plan | None:
    """Return the plan of a schema; None if it validates or changes more than each field by itself."""
    has_own_hooks = not isinstance(schema, InboundSchema) or _hooks(type(schema)) != _hooks(InboundSchema)
    is_plain = all(field.attribute is None for field in schema.load_fields.values())
    if has_own_hooks or not is_plain or schema.unknown != RAISE or schema.partial:
        return None
    return Plan([_step(name, field) for name, field in schema.load_fields.items()])


def _hooks(schema: type[Schema]) -> dict[str, Any]:
    # Marshmallow adds an empty list for each kind of hook that it has looked for.
    return {kind: hooks for kind, hooks in schema._hooks.items() if hooks}


def _step(name: str, field: fields.Field[Any]) -> _Step:
    return _Step(field.data_key or name, name, _convert(field), field.required, field.load_default)


def _convert(field: fields.Field[Any]) -> Convert:
    if type(field) in (Id, NumericId):
        return _id
    if type(field) in (ServerId, NumericServerId):
        return _server_id
    if type(field) in (Uuid, UuidAsSent):
        return _uuid
    if type(field) is fields.String:
        return _string(field)
    if type(field) is BoundedList:
        return _list(field)
    return _scalar(field)


def _id(value: Any) -> str:
    if type(value) is str and 0 < len(value) <= MAX_ID and value.isascii() and value.isprintable():
        return value
    raise _Unusual


def _server_id(value: Any) -> str:
    found = _id(value)
    if found != found.lower():
        raise _Unusual
    return found


def _uuid(value: Any) -> str:
    if type(value) is str and CANONICAL_UUID.fullmatch(value):
        return value
    raise _Unusual


def _string(field: fields.Field[Any]) -> Convert:
    def convert(value: Any) -> str:
        if type(value) is not str:
            raise _Unusual
        for validate in field.validators:
            validate(value)
        return value

    return convert


def _list(field: BoundedList) -> Convert:
    inner = _convert(field.inner)

    def convert(value: Any) -> list[Any]:
        if type(value) is not list or len(value) > field.most:
            raise _Unusual
        return [inner(each) for each in value]

    return convert


def _scalar(field: fields.Field[Any]) -> Convert:
    def convert(value: Any) -> Any:
        # The values within one that has many are counted before marshmallow looks at them.
        if isinstance(value, dict | list):
            raise _Unusual
        return field.deserialize(value)

    return convert
