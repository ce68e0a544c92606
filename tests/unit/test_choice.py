"""A socket's own words tell which vocabulary it speaks."""

from typing import Any

import pytest
from marshmallow import Schema, fields

from gateway.core import commands as c
from gateway.core.errors import Invalid, UnknownEvent
from gateway.vocabularies.choice import Misunderstood, understand
from gateway.vocabularies.clients_and_lawyers import CLIENTS_AND_LAWYERS
from gateway.vocabularies.connections import CONNECTIONS
from gateway.vocabularies.crm import CRM
from gateway.vocabularies.fields import Id
from gateway.vocabularies.groups import GROUPS
from gateway.vocabularies.refusal import REFUSAL
from gateway.vocabularies.shape import Shape, always
from gateway.vocabularies.spoken import VOCABULARIES
from gateway.vocabularies.vocabulary import Hears, Vocabulary

OK = Shape("Done", {"success": always(True)})


class ByRoom(Schema):
    room = Id(required=True)


class ByChat(Schema):
    chat = Id(required=True)
    urgent = fields.Boolean()


class ByEither(Schema):
    text = fields.String(required=True)


def hears(schema: Schema) -> Hears:
    return Hears(schema, lambda _: c.Ping(), OK)


def vocabulary(name: str, **events: Schema) -> Vocabulary:
    heard = {event: hears(schema) for event, schema in events.items()}
    return Vocabulary(name=name, namespace="/", hears=heard, says=(), refuses=REFUSAL)


ROOMS = vocabulary("rooms", join=ByRoom(), say=ByEither(), wave=ByRoom())
CHATS = vocabulary("chats", join=ByChat(), say=ByEither(), hum=ByChat())
BOTH = (ROOMS, CHATS)


def by(event: str, payload: Any) -> tuple[Vocabulary, ...]:
    return understand(BOTH, event, [payload]).by


def test_an_event_that_one_knows_decides_for_it() -> None:
    assert by("wave", {"room": "a"}) == (ROOMS,)
    assert by("hum", {"chat": "a"}) == (CHATS,)


def test_a_payload_that_is_good_in_one_decides_for_it() -> None:
    assert by("join", {"room": "a"}) == (ROOMS,)
    assert by("join", {"chat": "a"}) == (CHATS,)


@pytest.mark.parametrize("beside", [(CLIENTS_AND_LAWYERS, CONNECTIONS), (CRM, GROUPS)], ids=["/", "/chat"])
def test_a_fresh_token_decides_nothing(beside: tuple[Vocabulary, ...]) -> None:
    assert understand(beside, "reauthenticate", [{"token": "a.b.c"}]).by == beside


def test_every_vocabulary_takes_a_fresh_token() -> None:
    assert [v.name for v in VOCABULARIES if "reauthenticate" not in v.hears] == []


def test_what_is_good_in_both_decides_nothing() -> None:
    understood = understand(BOTH, "say", [{"text": "hello"}])
    assert understood.by == BOTH
    assert understood.hears is ROOMS.hears["say"]
    assert understood.payload == {"text": "hello"}


def test_what_is_good_in_none_is_refused_by_the_one_that_came_nearest() -> None:
    with pytest.raises(Misunderstood) as refused:
        understand(BOTH, "join", [{"chat": "a", "urgent": "perhaps"}])
    assert refused.value.by is CHATS
    assert isinstance(refused.value.error, Invalid)
    assert list(refused.value.error.details or ()) == ["urgent"]


@pytest.mark.parametrize("event", ["dance", "", 5, None, ["join"], {}])
def test_what_nobody_knows_is_no_event(event: Any) -> None:
    with pytest.raises(Misunderstood) as refused:
        understand(BOTH, event, [{}])
    assert isinstance(refused.value.error, UnknownEvent)


@pytest.mark.parametrize(
    "args", [["text"], [5], [[{}]], [{"text": "a"}, {"text": "b"}], [{"text": "a"}, None]]
)
def test_a_payload_is_one_object(args: list[Any]) -> None:
    with pytest.raises(Misunderstood, match="one object"):
        understand(BOTH, "say", args)


def test_who_has_decided_is_not_understood_in_other_words() -> None:
    with pytest.raises(Misunderstood):
        understand((ROOMS,), "hum", [{"chat": "a"}])
