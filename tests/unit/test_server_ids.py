"""Ids that Parley has given are UUIDs, whose case does not matter; those of users stay as they are."""

from collections.abc import Iterator
from typing import Any

import pytest
from marshmallow import Schema, fields

from parley.gateway.protocols.groups import GROUPS
from parley.gateway.protocols.payloads import load
from parley.gateway.protocols.registry import PROTOCOLS

UPPER = "B224D211-5CE3-47BF-A56F-823B9905883D"
GIVEN = ("conversationId", "messageId", "chatId", "replyTo", "attachments")


def given_fields() -> Iterator[tuple[str, fields.Field[Any]]]:
    """Return the fields of all events and routes that hold ids of Parley, by where they are used."""
    for protocol in PROTOCOLS:
        schemas = [(name, inbound.schema) for name, inbound in protocol.inbound.items()]
        schemas += [(f"{route.method} {route.path}", route.schema) for route in protocol.routes]
        for where, schema in schemas:
            for name, field in _named(schema):
                if name in GIVEN:
                    yield f"{protocol.name} {where} {name}", getattr(field, "inner", field)


def _named(schema: Schema) -> list[tuple[str, fields.Field[Any]]]:
    return [(field.data_key or name, field) for name, field in schema.fields.items()]


FIELDS = dict(given_fields())


@pytest.mark.parametrize("where", FIELDS)
def test_a_uuid_may_be_in_upper_case(where: str) -> None:
    assert FIELDS[where].deserialize(UPPER) == UPPER.lower()
    assert FIELDS[where].deserialize("A-B") == "A-B"


def test_revisions_may_be_asked_for_in_upper_case() -> None:
    loaded = load(GROUPS.inbound["sync"].schema, {"conversations": {UPPER: 5}})
    assert loaded == {"conversations": {UPPER.lower(): 5}}


def test_an_id_of_a_user_stays_as_its_issuer_spells_it() -> None:
    loaded = load(GROUPS.inbound["createConversation"].schema, {"participants": [UPPER]})
    assert loaded["participants"] == [UPPER]
