"""A shape with a rest lets other fields through, and never in the place of its own."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from marshmallow import ValidationError

from parley.gateway.protocols.serializer import Serializer, number, optional, text


@dataclass
class Note:
    title: str
    pages: int | None = None
    rest: dict[str, Any] = field(default_factory=dict)


PARTS = {"title": text("title"), "pages": optional(number("pages"))}
OPEN = Serializer("Note", PARTS, rest="rest")


def test_the_rest_goes_out_beside_the_shape_s_own_fields() -> None:
    assert OPEN(Note("a", rest={"colour": "red"})) == {"title": "a", "colour": "red"}
    assert OPEN(Note("a", 2)) == {"title": "a", "pages": 2}


def test_the_rest_has_no_say_in_the_shape_s_own_fields_not_even_in_those_left_out() -> None:
    assert OPEN(Note("a", rest={"title": "b", "pages": 7})) == {"title": "a"}


def test_other_fields_pass_for_a_shape_with_a_rest_only() -> None:
    payload = {"title": "a", "colour": "red"}
    assert OPEN.field.deserialize(payload) == payload
    with pytest.raises(ValidationError, match="colour"):
        Serializer("Note", PARTS).field.deserialize(payload)


def test_a_shape_with_a_rest_is_strict_about_its_own_fields() -> None:
    with pytest.raises(ValidationError, match="pages"):
        OPEN.field.deserialize({"title": "a", "pages": "two"})
