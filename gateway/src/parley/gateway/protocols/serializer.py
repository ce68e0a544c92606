"""Serializers: tables that make outbound payloads and describe them in the API documents.

A `Serializer` maps each field's name to a `Field`: the kind of its value, and the value's source. A source is
a function of the value, an expression, or a dotted path of attributes; the path "" is the value itself.
"""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

from marshmallow import INCLUDE, Schema, fields, validate

from parley.gateway.protocols.expressions import Expression, compiled, object_maker
from parley.gateway.protocols.expressions import constant as constant_expression
from parley.gateway.protocols.fields import Id, iso

Source = str | Expression | Callable[[Any], Any]


class ToPayload(Protocol):
    """Makes a payload from a value."""

    @property
    def field(self) -> fields.Field[Any]:
        """The payload's type as a marshmallow field."""

    def __call__(self, value: Any) -> Any:
        """Make the payload of a value."""


@dataclass(frozen=True)
class Field:
    """A field of a serializer, or a payload that is not an object."""

    field: fields.Field[Any]
    expression: Expression

    @cached_property
    def make(self) -> Callable[[Any], Any]:
        """The function that makes the field's value; serializers contain its expression instead."""
        return compiled(self.expression)

    def __call__(self, value: Any) -> Any:
        return self.make(value)


class _OpenSchema(Schema):
    """An object that may have further fields."""

    class Meta:
        unknown = INCLUDE


class Serializer:
    """Makes an object from a value; optional fields without a value are left out.

    Args:
        name: The schema's name in the API documents.
        table: The fields by name.
        extra: The source of an object whose fields are added. A name of the table is never taken from it,
            not even one whose field is left out.
    """

    def __init__(self, name: str, table: Mapping[str, Field], *, extra: Source | None = None) -> None:
        self.name = name
        self.fields = dict(table)
        base = Schema if extra is None else _OpenSchema
        self.schema: type[Schema] = base.from_dict(
            {name: field.field for name, field in table.items()}, name=name
        )
        self._make = object_maker(
            [(name, field.expression, field.field.required) for name, field in table.items()]
        )
        self._extra = None if extra is None else compiled(_expression(extra))

    @property
    def field(self) -> fields.Field[Any]:
        return fields.Nested(self.schema, required=True)

    def __call__(self, value: Any) -> dict[str, Any]:
        payload = self._make(value)
        if self._extra is not None:
            payload |= {name: each for name, each in self._extra(value).items() if name not in self.fields}
        return payload

    @property
    def maker(self) -> Callable[[Any], dict[str, Any]]:
        """The function that other serializers call for an object within theirs."""
        return self._make if self._extra is None else self

    def fields_from(self, source: Source) -> dict[str, Field]:
        """Return this serializer's fields, without `extra`, as fields of a value that contains the source."""
        inner = _expression(source)
        return {
            name: replace(field, expression=field.expression.of(inner)) for name, field in self.fields.items()
        }


def text(source: Source, *choices: str) -> Field:
    """Define a string; if choices are given, one of them."""
    valid = validate.OneOf(choices) if choices else None
    return Field(fields.String(required=True, validate=valid), _expression(source))


def ident(source: Source) -> Field:
    """Define an id."""
    return Field(Id(required=True), _expression(source))


def number(source: Source) -> Field:
    """Define an integer."""
    return Field(fields.Integer(required=True, strict=True), _expression(source))


def seconds(source: Source) -> Field:
    """Define a duration in seconds."""
    return Field(fields.Float(required=True), _expression(source))


def flag(source: Source) -> Field:
    """Define a boolean."""
    return Field(fields.Boolean(required=True, truthy={True}, falsy={False}), _expression(source))


def time(source: Source) -> Field:
    """Define a time in ISO 8601, as JavaScript's `toISOString` formats it."""
    return Field(fields.DateTime(format="iso", required=True), _expression(source).then_unless_none(iso))


def millis(source: Source) -> Field:
    """Define a time in milliseconds since 1970, as JavaScript's `Date.now` counts it."""
    return Field(fields.Integer(required=True, strict=True), _expression(source).then(_milliseconds))


def constant(value: bool | str) -> Field:
    """Define a field that always has this value."""
    kind = fields.Boolean if isinstance(value, bool) else fields.String
    return Field(kind(required=True, validate=validate.Equal(value)), constant_expression(value))


def one(item: ToPayload, source: Source) -> Field:
    """Define a nested payload; None where the source is None, which `optional` or `nullable` must allow."""
    return Field(item.field, _expression(source).then_unless_none(maker(item)))


def many(item: ToPayload, source: Source = "") -> Field:
    """Define a list of nested payloads; the source is an iterable."""
    make = maker(item)
    field = fields.List(item.field, required=True)
    return Field(field, _expression(source).then(lambda inner: [make(each) for each in inner]))


def mapping(item: ToPayload, source: Source) -> Field:
    """Define an object of nested payloads by id; the source is an iterable of (id, value) pairs."""
    make = maker(item)
    field = fields.Dict(keys=Id(), values=item.field, required=True)
    return Field(field, _expression(source).then(lambda pairs: {key: make(each) for key, each in pairs}))


def any_object(source: Source) -> Field:
    """Define an object with any fields."""
    return Field(fields.Dict(required=True), _expression(source))


def optional(field: Field) -> Field:
    """Leave the field out where its value is None."""
    return replace(field, field=_changed(field.field, required=False))


def nullable(field: Field) -> Field:
    """Send null where the field's value is None."""
    return replace(field, field=_changed(field.field, allow_none=True))


def _changed(field: fields.Field[Any], **attributes: bool) -> fields.Field[Any]:
    field = copy(field)
    for name, value in attributes.items():
        setattr(field, name, value)
    return field


def _expression(source: Source) -> Expression:
    if isinstance(source, Expression):
        return source
    return Expression().attribute(source) if isinstance(source, str) else Expression().then(source)


def maker(item: ToPayload) -> Callable[[Any], Any]:
    """Return the function that makes a payload: a call of the payload itself takes one more."""
    if isinstance(item, Serializer):
        return item.maker
    return item.make if isinstance(item, Field) else item


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
