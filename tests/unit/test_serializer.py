"""Shapes make payloads, and describe what they make."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from marshmallow import ValidationError

from parley.gateway.protocols.serializer import (
    Serializer,
    always,
    flag,
    ident,
    many,
    mapping,
    millis,
    nullable,
    number,
    one,
    optional,
    text,
    time,
)


@dataclass
class Pet:
    name: str
    legs: int | None = None


@dataclass
class Owner:
    id: str
    pet: Pet | None
    pets: tuple[Pet, ...] = ()
    since: datetime = datetime(2026, 3, 1, 12, 30, 5, 123_456, tzinfo=UTC)
    kind: bool = True


PET = Serializer("Pet", {"name": text("name"), "legs": optional(number("legs"))})
OWNER = Serializer(
    "Owner",
    {
        "_id": ident("id"),
        "ok": always(True),
        "pet": nullable(one(PET, "pet")),
        "pets": many(PET, "pets"),
        "byName": mapping(PET, lambda o: [(p.name, p) for p in o.pets]),
        "since": time("since"),
        "sinceMillis": millis("since"),
        "kind": flag("kind"),
        "shout": text(lambda o: o.id.upper()),
        **Serializer("Named", {"petName": optional(text("name"))}).of(lambda o: o.pet or Pet("none")),
    },
)
ANN = Owner("ann", None, (Pet("Rex", 4), Pet("Nemo")))
SHOWN = {
    "_id": "ann",
    "ok": True,
    "pet": None,
    "pets": [{"name": "Rex", "legs": 4}, {"name": "Nemo"}],
    "byName": {"Rex": {"name": "Rex", "legs": 4}, "Nemo": {"name": "Nemo"}},
    "since": "2026-03-01T12:30:05.123Z",
    "sinceMillis": 1_772_368_205_123,
    "kind": True,
    "shout": "ANN",
    "petName": "none",
}


def test_a_shape_makes_its_fields_in_their_order() -> None:
    assert OWNER(ANN) == SHOWN
    assert list(OWNER(ANN)) == list(SHOWN)


def test_what_a_shape_makes_is_what_it_describes() -> None:
    OWNER.field.deserialize(OWNER(ANN))
    OWNER.field.deserialize(OWNER(Owner("ben", Pet("Tom"))))


@pytest.mark.parametrize(
    "wrong",
    [
        {"_id": 5},
        {"ok": False},
        {"pets": None},
        {"pets": [{"name": "Rex", "legs": "4"}]},
        {"since": "yesterday"},
        {"kind": "yes"},
        {"more": 1},
    ],
    ids=str,
)
def test_what_a_shape_does_not_make_is_not_what_it_describes(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OWNER.field.deserialize({**SHOWN, **wrong})


def test_a_required_field_may_not_be_missing() -> None:
    with pytest.raises(ValidationError):
        OWNER.field.deserialize({name: value for name, value in SHOWN.items() if name != "kind"})
