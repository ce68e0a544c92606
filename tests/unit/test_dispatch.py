"""A socket's events select its protocol."""

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
from parley.gateway.protocols.serializer import Serializer, constant

OK = Serializer("Done", {"success": constant(True)})


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
    table = {event: inbound(schema) for event, schema in events.items()}
    return ClientProtocol(name=name, namespace="/", inbound=table, outbound=(), refusal=REFUSAL)


ROOMS = protocol("rooms", join=ByRoom(), say=ByEither(), wave=ByRoom())
CHATS = protocol("chats", join=ByChat(), say=ByEither(), hum=ByChat())
BOTH = (ROOMS, CHATS)


def accepting(event: str, payload: Any) -> tuple[ClientProtocol, ...]:
    return resolve(BOTH, event, [payload]).protocols


def test_an_event_of_one_protocol_selects_it() -> None:
    assert accepting("wave", {"room": "a"}) == (ROOMS,)
    assert accepting("hum", {"chat": "a"}) == (CHATS,)


def test_a_payload_that_one_protocol_accepts_selects_it() -> None:
    assert accepting("join", {"room": "a"}) == (ROOMS,)
    assert accepting("join", {"chat": "a"}) == (CHATS,)


@pytest.mark.parametrize("beside", [(CLIENTS_AND_LAWYERS, CONNECTIONS), (CRM, GROUPS)], ids=["/", "/chat"])
def test_reauthenticate_selects_no_protocol(beside: tuple[ClientProtocol, ...]) -> None:
    assert resolve(beside, "reauthenticate", [{"token": "a.b.c"}]).protocols == beside


def test_every_protocol_has_reauthenticate() -> None:
    assert [p.name for p in PROTOCOLS if "reauthenticate" not in p.inbound] == []


def test_an_event_that_both_accept_selects_no_protocol() -> None:
    resolved = resolve(BOTH, "say", [{"text": "hello"}])
    assert resolved.protocols == BOTH
    assert resolved.inbound is ROOMS.inbound["say"]
    assert resolved.payload == {"text": "hello"}


def test_the_protocol_with_the_fewest_field_errors_refuses_the_event() -> None:
    with pytest.raises(Unresolved) as refused:
        resolve(BOTH, "join", [{"chat": "a", "urgent": "perhaps"}])
    assert refused.value.protocol is CHATS
    assert isinstance(refused.value.error, Invalid)
    assert list(refused.value.error.details or ()) == ["urgent"]


@pytest.mark.parametrize("event", ["dance", "", 5, None, ["join"], {}])
def test_an_unknown_event_is_refused(event: Any) -> None:
    with pytest.raises(Unresolved) as refused:
        resolve(BOTH, event, [{}])
    assert isinstance(refused.value.error, UnknownEvent)


@pytest.mark.parametrize(
    "args", [["text"], [5], [[{}]], [{"text": "a"}, {"text": "b"}], [{"text": "a"}, None, {}]]
)
def test_a_payload_must_be_one_object(args: list[Any]) -> None:
    with pytest.raises(Unresolved, match="one object"):
        resolve(BOTH, "say", args)


def test_a_decided_socket_has_no_events_of_other_protocols() -> None:
    with pytest.raises(Unresolved):
        resolve((ROOMS,), "hum", [{"chat": "a"}])


@pytest.mark.parametrize("further", [[None], [None, None]])
def test_null_behind_the_payload_is_a_callback_that_is_undefined(further: list[None]) -> None:
    assert resolve(BOTH, "say", [{"text": "hello"}, *further]).payload == {"text": "hello"}
    assert resolve((GROUPS,), "getOnlineUsers", [None, *further]).payload == {}
