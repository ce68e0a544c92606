"""Shapes: what goes out, as tables that both make it and describe it.

A shape maps each field's name to a part: what kind of value it is, and where it comes from. A source
is a function of the value, or the dotted path of its attributes; of "" it is the value itself.
"""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter
from typing import Any, Protocol

from marshmallow import INCLUDE, Schema, fields, validate

from parley.gateway.protocols.fields import Id, iso

Source = str | Callable[[Any], Any]


class ToPayload(Protocol):
    """Makes a payload of a value; `field` describes what it makes."""

    @property
    def field(self) -> fields.Field[Any]:
        """What payloads of this form are, as marshmallow says it."""

    def __call__(self, value: Any) -> Any:
        """The payload of a value."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a shape, or a payload that is no object."""

    field: fields.Field[Any]
    get: Callable[[Any], Any]

    def __call__(self, value: Any) -> Any:
        return self.get(value)


class _Open(Schema):
    """An object that may have other fields too."""

    class Meta:
        unknown = INCLUDE


class Serializer:
    """An object: called with a value, it makes the payload; what is optional and None is left out.

    `rest` is the source of an object whose fields go out beside the shape's own, under none of
    the shape's names: not even under one that is left out.
    """

    def __init__(self, name: str, parts: Mapping[str, Field], *, rest: Source | None = None) -> None:
        self.name = name
        self.parts = dict(parts)
        kind = Schema if rest is None else _Open
        self.schema: type[Schema] = kind.from_dict(
            {field: part.field for field, part in parts.items()}, name=name
        )
        self._parts = [(field, part.get, part.field.required) for field, part in parts.items()]
        self._rest = None if rest is None else _getter(rest)

    @property
    def field(self) -> fields.Field[Any]:
        return fields.Nested(self.schema, required=True)

    def __call__(self, value: Any) -> dict[str, Any]:
        payload = {}
        for field, get, required in self._parts:
            found = get(value)
            if required or found is not None:
                payload[field] = found
        if self._rest is not None:
            payload |= {name: each for name, each in self._rest(value).items() if name not in self.parts}
        return payload

    def of(self, source: Source) -> dict[str, Field]:
        """The parts of this shape, without its rest, made of something within the value."""
        inner = _getter(source)
        return {name: replace(part, get=_through(part.get, inner)) for name, part in self.parts.items()}


def text(source: Source, *choices: str) -> Field:
    """A string; one of the choices if there are any."""
    valid = validate.OneOf(choices) if choices else None
    return Field(fields.String(required=True, validate=valid), _getter(source))


def ident(source: Source) -> Field:
    """An id."""
    return Field(Id(required=True), _getter(source))


def number(source: Source) -> Field:
    """A whole number."""
    return Field(fields.Integer(required=True, strict=True), _getter(source))


def seconds(source: Source) -> Field:
    """A duration in seconds."""
    return Field(fields.Float(required=True), _getter(source))


def flag(source: Source) -> Field:
    """True or false."""
    return Field(fields.Boolean(required=True, truthy={True}, falsy={False}), _getter(source))


def time(source: Source) -> Field:
    """A time as JavaScript writes it."""
    return Field(fields.DateTime(format="iso", required=True), _through(iso, _getter(source)))


def millis(source: Source) -> Field:
    """A time in milliseconds since 1970, as JavaScript counts it."""
    return Field(fields.Integer(required=True, strict=True), _through(_milliseconds, _getter(source)))


def always(value: bool | str) -> Field:
    """The same whatever happened."""
    kind = fields.Boolean if isinstance(value, bool) else fields.String
    return Field(kind(required=True, validate=validate.Equal(value)), lambda _: value)


def one(form: ToPayload, source: Source) -> Field:
    """Something within the value; null or left out where there is none, if the part may be."""
    return Field(form.field, _through(lambda inner: None if inner is None else form(inner), _getter(source)))


def many(form: ToPayload, source: Source = "") -> Field:
    """A list of things within the value, or that the value is."""
    field = fields.List(form.field, required=True)
    return Field(field, _through(lambda inner: [form(each) for each in inner], _getter(source)))


def mapping(form: ToPayload, source: Source) -> Field:
    """An object from ids to things: the source gives (id, thing) pairs."""
    field = fields.Dict(keys=Id(), values=form.field, required=True)
    return Field(field, _through(lambda pairs: {key: form(each) for key, each in pairs}, _getter(source)))


def anything(source: Source) -> Field:
    """An object of any shape."""
    return Field(fields.Dict(required=True), _getter(source))


def optional(part: Field) -> Field:
    """Left out where there is none."""
    return replace(part, field=_changed(part.field, required=False))


def nullable(part: Field) -> Field:
    """Null where there is none."""
    return replace(part, field=_changed(part.field, allow_none=True))


def _changed(field: fields.Field[Any], **attributes: bool) -> fields.Field[Any]:
    field = copy(field)
    for name, value in attributes.items():
        setattr(field, name, value)
    return field


def _getter(source: Source) -> Callable[[Any], Any]:
    if callable(source):
        return source
    return attrgetter(source) if source else _itself


def _itself(value: Any) -> Any:
    return value


def _through(outer: Callable[[Any], Any], inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return outer if inner is _itself else lambda value: outer(inner(value))


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
