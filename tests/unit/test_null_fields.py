"""`null` for an optional field counts as if the field were not there, in every event and every REST route."""

from collections.abc import Iterator
from typing import Any

import pytest
from marshmallow import Schema, ValidationError, fields

from parley.gateway.protocols.administration import ADMINISTRATION
from parley.gateway.protocols.fields import Id, InboundSchema
from parley.gateway.protocols.registry import PROTOCOLS

SERVED = (*PROTOCOLS, ADMINISTRATION)


def _name(field: fields.Field[Any]) -> str:
    return field.data_key or str(field.name)


def schemas() -> dict[str, Schema]:
    """Return the schemas of all events and routes, and those nested in them, by where they are used."""
    used: dict[str, Schema] = {}
    for protocol in SERVED:
        for name, inbound in protocol.inbound.items():
            used[f"{protocol.name} {name}"] = inbound.schema
        for route in protocol.routes:
            used[f"{protocol.name} {route.method} {route.path}"] = route.schema
    nested = {f"{where} {name}": each for where, schema in used.items() for name, each in _nested(schema)}
    return used | nested


def _nested(schema: Schema) -> Iterator[tuple[str, Schema]]:
    for field in schema.fields.values():
        for each in (field, getattr(field, "inner", None), getattr(field, "value_field", None)):
            inner = getattr(each, "also", each)
            if isinstance(inner, fields.Nested):
                yield _name(field), inner.schema


SCHEMAS = schemas()
CASES = [
    (where, _name(field))
    for where, schema in SCHEMAS.items()
    for field in schema.fields.values()
    if not field.required
]


def sample(field: fields.Field[Any]) -> Any:
    """Return a valid value of a required field."""
    match field:
        case Id() | fields.String():
            return "x"
        case fields.Boolean():
            return True
        case fields.Integer():
            return 1
        case fields.List():
            return [sample(field.inner)]
        case fields.Dict():
            return {"x": sample(field.value_field)} if field.value_field is not None else {}
    raise AssertionError(f"no sample is known of {field!r}")


def base(schema: Schema) -> dict[str, Any]:
    """Return a payload that the schema accepts, with as few fields as possible."""
    payload = {_name(field): sample(field) for field in schema.fields.values() if field.required}
    try:
        schema.load(payload)
    except ValidationError as error:
        # One of several fields is needed, such as a text or an attachment.
        (missing,) = error.normalized_messages()
        payload[missing] = "x"
    return payload


@pytest.mark.parametrize("where", SCHEMAS)
def test_every_schema_of_clients_has_the_base_that_leaves_nulls_out(where: str) -> None:
    assert isinstance(SCHEMAS[where], InboundSchema)


@pytest.mark.parametrize(("where", "name"), CASES)
def test_null_for_an_optional_field_changes_nothing(where: str, name: str) -> None:
    schema = SCHEMAS[where]
    without = {other: value for other, value in base(schema).items() if other != name}
    assert outcome(schema, {**without, name: None}) == outcome(schema, without)


def outcome(schema: Schema, payload: dict[str, Any]) -> Any:
    """Return what is loaded, or why it is refused."""
    try:
        return schema.load(payload)
    except ValidationError as error:
        return error.normalized_messages()


def _names(schema: Schema) -> list[str]:
    return [_name(field) for field in schema.fields.values()]


@pytest.mark.parametrize("where", SCHEMAS)
def test_null_for_all_optional_fields_changes_nothing(where: str) -> None:
    schema = SCHEMAS[where]
    payload = base(schema)
    nulls = {_name(field): None for field in schema.fields.values() if not field.required}
    assert schema.load({**nulls, **payload}) == schema.load(payload)


@pytest.mark.parametrize("where", [where for where, schema in SCHEMAS.items() if _names(schema)])
def test_null_for_a_required_field_is_refused(where: str) -> None:
    schema = SCHEMAS[where]
    for field in schema.fields.values():
        if field.required:
            with pytest.raises(ValidationError) as caught:
                schema.load({**base(schema), _name(field): None})
            assert _name(field) in caught.value.messages
