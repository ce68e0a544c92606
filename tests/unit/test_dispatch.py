"""A socket's own words tell which vocabulary it speaks."""

from typing import Any

import pytest
from marshmallow import Schema, fields

from parley.gateway.core import commands as c
from parley.gateway.core.errors import Invalid, UnknownEvent
from parley.gateway.protocols.clients_and_lawyers import CLIENTS_AND_LAWYERS
from parley.gateway.protocols.connections import CONNECTIONS
from parley.gateway.protocols.crm import CRM
from parley.gateway.protocols.dispatch import Unresolved, resolve
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.protocols.fields import Id
from parley.gateway.protocols.groups import GROUPS
from parley.gateway.protocols.protocol import ClientProtocol, InboundEvent
from parley.gateway.protocols.registry import PROTOCOLS
from parley.gateway.protocols.serializer import Serializer, always

OK = Serializer("Done", {"success": always(True)})


class ByRoom(Schema):
    room = Id(required=True)


class ByChat(Schema):
    chat = Id(required=True)
    urgent = fields.Boolean()


class ByEither(Schema):
    text = fields.String(required=True)


def inbound(schema: Schema) -> InboundEvent:
    return InboundEvent(schema, lambda _: c.Ping(), OK)


def protocol(name: str, **events: Schema) -> ClientProtocol:
    heard = {event: inbound(schema) for event, schema in events.items()}
    return ClientProtocol(name=name, namespace="/", inbound=heard, outbound=(), refusal=REFUSAL)


ROOMS = protocol("rooms", join=ByRoom(), say=ByEither(), wave=ByRoom())
CHATS = protocol("chats", join=ByChat(), say=ByEither(), hum=ByChat())
BOTH = (ROOMS, CHATS)


def by(event: str, payload: Any) -> tuple[ClientProtocol, ...]:
    return resolve(BOTH, event, [payload]).by


def test_an_event_that_one_knows_decides_for_it() -> None:
    assert by("wave", {"room": "a"}) == (ROOMS,)
    assert by("hum", {"chat": "a"}) == (CHATS,)


def test_a_payload_that_is_good_in_one_decides_for_it() -> None:
    assert by("join", {"room": "a"}) == (ROOMS,)
    assert by("join", {"chat": "a"}) == (CHATS,)


@pytest.mark.parametrize("beside", [(CLIENTS_AND_LAWYERS, CONNECTIONS), (CRM, GROUPS)], ids=["/", "/chat"])
def test_a_fresh_token_decides_nothing(beside: tuple[ClientProtocol, ...]) -> None:
    assert resolve(beside, "reauthenticate", [{"token": "a.b.c"}]).by == beside


def test_every_vocabulary_takes_a_fresh_token() -> None:
    assert [v.name for v in PROTOCOLS if "reauthenticate" not in v.inbound] == []


def test_what_is_good_in_both_decides_nothing() -> None:
    understood = resolve(BOTH, "say", [{"text": "hello"}])
    assert understood.by == BOTH
    assert understood.inbound is ROOMS.inbound["say"]
    assert understood.payload == {"text": "hello"}


def test_what_is_good_in_none_is_refused_by_the_one_that_came_nearest() -> None:
    with pytest.raises(Unresolved) as refused:
        resolve(BOTH, "join", [{"chat": "a", "urgent": "perhaps"}])
    assert refused.value.by is CHATS
    assert isinstance(refused.value.error, Invalid)
    assert list(refused.value.error.details or ()) == ["urgent"]


@pytest.mark.parametrize("event", ["dance", "", 5, None, ["join"], {}])
def test_what_nobody_knows_is_no_event(event: Any) -> None:
    with pytest.raises(Unresolved) as refused:
        resolve(BOTH, event, [{}])
    assert isinstance(refused.value.error, UnknownEvent)


@pytest.mark.parametrize(
    "args", [["text"], [5], [[{}]], [{"text": "a"}, {"text": "b"}], [{"text": "a"}, None]]
)
def test_a_payload_is_one_object(args: list[Any]) -> None:
    with pytest.raises(Unresolved, match="one object"):
        resolve(BOTH, "say", args)


def test_who_has_decided_is_not_understood_in_other_words() -> None:
    with pytest.raises(Unresolved):
        resolve((ROOMS,), "hum", [{"chat": "a"}])
