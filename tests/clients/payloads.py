"""Hypothesis strategies for payloads: valid, nearly valid, and garbage."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from marshmallow import INCLUDE, Schema, fields, validate

from parley.gateway.protocols.fields import Id

Json = Any
Strategy = st.SearchStrategy[Any]

TEXTS = st.text(max_size=40) | st.sampled_from(
    [
        "",
        " ",
        "\x00",
        "a\x00b",
        "\u202e",
        "\U0001f600" * 9,
        "x" * 8_001,
        "$where",
        "a.b",
        "__proto__",
        "../..",
    ]
)
NUMBERS = (
    st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -1, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, 10**400, 1e308])
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
GARBAGE = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
"""Any JSON."""


def payloads(schema: Schema, ids: Sequence[str]) -> Strategy:
    """Return payloads of an event; their ids often exist."""
    right = valid(schema, ids)
    return right | st.builds(_spoiled, right, st.sampled_from(_names(schema)), GARBAGE) | GARBAGE


def valid(schema: Schema, ids: Sequence[str]) -> Strategy:
    """Return objects with valid fields; rules across fields may still refuse them."""
    parts = {_name(field): _of(field, ids) for field in schema.fields.values()}
    needed = {_name(field) for field in schema.fields.values() if field.required}
    return st.fixed_dictionaries(
        {name: part for name, part in parts.items() if name in needed},
        optional={name: part for name, part in parts.items() if name not in needed},
    )


def _of(field: fields.Field[Any], ids: Sequence[str]) -> Strategy:
    found = _kind(field, ids)
    if hasattr(field, "also"):
        others = field.also if isinstance(field.also, tuple) else (field.also,)
        found = st.one_of(found, *(_of(other, ids) for other in others))
    return found | st.none() if field.allow_none else found


def _kind(field: fields.Field[Any], ids: Sequence[str]) -> Strategy:
    match field:
        case Id():
            return st.sampled_from(ids) | st.text("abc-/%.:$ \u00e9", min_size=1, max_size=20)
        case fields.UUID():
            return st.uuids().map(str)
        case fields.String():
            return st.sampled_from(_choices(field)) if _choices(field) else TEXTS
        case fields.Boolean():
            return st.booleans()
        case fields.Integer():
            return st.integers(*_range(field))
        case fields.List():
            return st.lists(_of(field.inner, ids), max_size=4)
        case fields.Dict():
            assert field.key_field is not None
            assert field.value_field is not None
            return st.dictionaries(_of(field.key_field, ids), _of(field.value_field, ids), max_size=4)
        case fields.Nested():
            inner = valid(field.schema, ids)
            return inner | st.builds(_spoiled, inner, TEXTS, GARBAGE) if _open(field.schema) else inner
    raise AssertionError(f"no payloads are known of {field!r}")


def _spoiled(payload: dict[str, Any], name: str, garbage: Any) -> dict[str, Any]:
    return {**payload, name: garbage}


def _names(schema: Schema) -> list[str]:
    return [*map(_name, schema.fields.values()), "other", "_id", "$set", "__proto__", ""]


def _name(field: fields.Field[Any]) -> str:
    return field.data_key or str(field.name)


def _open(schema: Schema) -> bool:
    return schema.unknown == INCLUDE


def _choices(field: fields.Field[Any]) -> list[str]:
    return [choice for v in field.validators if isinstance(v, validate.OneOf) for choice in v.choices]


def _range(field: fields.Field[Any]) -> tuple[int, int]:
    for valid in field.validators:
        if isinstance(valid, validate.Range):
            least, most = valid.min, valid.max
            assert isinstance(least, int)
            assert isinstance(most, int)
            return least, most
    return -(2**63), 2**64
