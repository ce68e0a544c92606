"""Serializers make payloads and describe them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from marshmallow import ValidationError

from parley.gateway.protocols.serializer import (
    Serializer,
    constant,
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
        "ok": constant(True),
        "pet": nullable(one(PET, "pet")),
        "pets": many(PET, "pets"),
        "byName": mapping(PET, lambda o: [(p.name, p) for p in o.pets]),
        "since": time("since"),
        "sinceMillis": millis("since"),
        "kind": flag("kind"),
        "shout": text(lambda o: o.id.upper()),
        **Serializer("Named", {"petName": optional(text("name"))}).fields_from(
            lambda o: o.pet or Pet("none")
        ),
    },
)
ANN = Owner("ann", None, (Pet("Rex", 4), Pet("Nemo")))
PAYLOAD = {
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


def test_a_serializer_makes_its_fields_in_their_order() -> None:
    assert OWNER(ANN) == PAYLOAD
    assert list(OWNER(ANN)) == list(PAYLOAD)


def test_a_payload_matches_its_serializer_s_schema() -> None:
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
def test_the_schema_rejects_payloads_that_the_serializer_does_not_make(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OWNER.field.deserialize({**PAYLOAD, **wrong})


def test_the_schema_rejects_a_payload_without_a_required_field() -> None:
    with pytest.raises(ValidationError):
        OWNER.field.deserialize({name: value for name, value in PAYLOAD.items() if name != "kind"})
