"""A serializer with `extra` adds further fields, but never under the name of its own."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from marshmallow import ValidationError

from parley.gateway.protocols.serializer import Serializer, number, optional, text


@dataclass
class Note:
    title: str
    pages: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


TABLE = {"title": text("title"), "pages": optional(number("pages"))}
OPEN = Serializer("Note", TABLE, extra="extra")


def test_extra_fields_are_added_to_the_payload() -> None:
    assert OPEN(Note("a", extra={"colour": "red"})) == {"title": "a", "colour": "red"}
    assert OPEN(Note("a", 2)) == {"title": "a", "pages": 2}


def test_extra_fields_never_replace_a_declared_field_not_even_one_left_out() -> None:
    assert OPEN(Note("a", extra={"title": "b", "pages": 7})) == {"title": "a"}


def test_only_a_schema_with_extra_accepts_further_fields() -> None:
    payload = {"title": "a", "colour": "red"}
    assert OPEN.field.deserialize(payload) == payload
    with pytest.raises(ValidationError, match="colour"):
        Serializer("Note", TABLE).field.deserialize(payload)


def test_a_schema_with_extra_is_strict_about_its_declared_fields() -> None:
    with pytest.raises(ValidationError, match="pages"):
        OPEN.field.deserialize({"title": "a", "pages": "two"})
