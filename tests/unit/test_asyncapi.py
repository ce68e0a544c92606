"""The AsyncAPI document describes the protocols' tables, and AsyncAPI's own parser accepts it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from clients.samples import EVENTS, GREETED, REFUSED
from clients.schema_checks import complaints, example, outcomes, resolved
from parley.gateway.api_docs.asyncapi import asyncapi
from parley.gateway.protocols.error_payloads import EXCEPTION, RefusedEvent
from parley.gateway.protocols.protocol import ClientProtocol, DirectEvent, InboundEvent, OutboundEvent
from parley.gateway.protocols.registry import PROTOCOLS

NODE = Path(sys.prefix, "bin", "node")
PARSER = Path(__file__).parents[1] / "asyncapi"
INBOUND = [(v, event, inbound) for v in PROTOCOLS for event, inbound in v.inbound.items()]
OUTBOUND = [(v, outbound) for v in PROTOCOLS for outbound in v.outbound]

each_inbound = pytest.mark.parametrize(
    ("protocol", "event", "inbound"), INBOUND, ids=[f"{v.name} {event}" for v, event, _ in INBOUND]
)
each_outbound = pytest.mark.parametrize(
    ("protocol", "outbound"),
    OUTBOUND,
    ids=[f"{v.name} {outbound.event} of {outbound.trigger.__name__}" for v, outbound in OUTBOUND],
)
each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS, ids=[v.name for v in PROTOCOLS])


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made: dict[str, Any] = orjson.loads(orjson.dumps(asyncapi(PROTOCOLS, token_in_query=True)))
    return made


def operation(document: dict[str, Any], protocol: ClientProtocol, action: str, event: str) -> Any:
    return document["operations"][f"{protocol.name}.{action}.{event}"]


def payload_of(document: dict[str, Any], message: Any) -> Any:
    return resolved(document, message)["payload"]


def test_asyncapi_s_own_parser_accepts_the_document(document: dict[str, Any]) -> None:
    assert (PARSER / "node_modules").exists(), "AsyncAPI's parser is missing; `make test` installs it"
    parsed = json.loads(
        subprocess.run(
            [NODE, PARSER / "parse.mjs"], input=orjson.dumps(document), stdout=subprocess.PIPE, check=True
        ).stdout
    )
    wrong = [each for each in parsed["diagnostics"] if each["code"] != "asyncapi-latest-version"]
    assert wrong == []
    assert parsed["channels"] == {v.name: v.namespace for v in PROTOCOLS}
    assert parsed["operations"] == {name: each["action"] for name, each in document["operations"].items()}


def test_the_document_describes_every_event_and_no_other(document: dict[str, Any]) -> None:
    found = {name: each["action"] for name, each in document["operations"].items()}
    received = {f"{v.name}.receive.{event}": "receive" for v, event, _ in INBOUND}
    reply = {(v, inbound.reply.event) for v, _, inbound in INBOUND if inbound.reply is not None}
    on_connect = {(v, direct.event) for v in PROTOCOLS for direct in v.on_connect}
    sent = {(v, outbound.event) for v, outbound in OUTBOUND}
    exception = {(v, EXCEPTION.event) for v in PROTOCOLS}
    sent_names = {(v.name, event) for v, event in reply | on_connect | sent | exception}
    assert found == received | {f"{name}.send.{event}": "send" for name, event in sent_names}
    assert all(each["description"] for each in document["operations"].values())


def test_a_message_has_the_name_of_its_event(document: dict[str, Any]) -> None:
    for name, each in document["operations"].items():
        (message,) = each["messages"]
        assert resolved(document, message)["name"] == name.split(".", 2)[2]


@each_protocol
def test_a_channel_names_the_protocols_that_share_its_namespace(
    document: dict[str, Any], protocol: ClientProtocol
) -> None:
    described = document["channels"][protocol.name]["description"]
    for other in PROTOCOLS:
        if other is not protocol:
            shares = other.namespace == protocol.namespace
            assert (f"`{other.name}`" in described) is shares


@each_inbound
def test_a_payload_by_the_document_is_accepted_and_its_acks_match_their_schemas(
    document: dict[str, Any], protocol: ClientProtocol, event: str, inbound: InboundEvent
) -> None:
    request = operation(document, protocol, "receive", event)
    payload = example(document, payload_of(document, request["messages"][0]))
    done, refusal = (payload_of(document, message) for message in request["reply"]["messages"])

    for outcome in outcomes(inbound.schema, payload, inbound.command):
        assert complaints(document, done, as_sent(inbound.ack(outcome))) == []
        if inbound.reply is not None:
            assert_matches(document, protocol, inbound.reply, outcome)
    for error in REFUSED:
        assert complaints(document, refusal, as_sent(protocol.refusal(error))) == []


@each_protocol
def test_an_exception_matches_its_schema(document: dict[str, Any], protocol: ClientProtocol) -> None:
    schema = payload_of(document, operation(document, protocol, "send", EXCEPTION.event)["messages"][0])
    for error in REFUSED:
        for refused in (RefusedEvent(error, None), RefusedEvent(error, "sendMessage", "mine", "temporary")):
            assert complaints(document, schema, as_sent(EXCEPTION.payload(refused))) == []


@each_outbound
def test_an_outbound_payload_matches_its_schema(
    document: dict[str, Any], protocol: ClientProtocol, outbound: OutboundEvent
) -> None:
    schema = payload_of(document, operation(document, protocol, "send", outbound.event)["messages"][0])
    sent = [as_sent(outbound.payload(event)) for event in EVENTS[outbound.trigger] if outbound.when(event)]
    assert sent
    for payload in sent:
        assert complaints(document, schema, payload) == []


@each_outbound
def test_an_outbound_event_names_the_sockets_left_out(
    document: dict[str, Any], protocol: ClientProtocol, outbound: OutboundEvent
) -> None:
    described = operation(document, protocol, "send", outbound.event)["description"]
    sent_names = [s for s in protocol.outbound if s.event == outbound.event]
    assert ("Not sent to the sockets of the user who caused it." in described) is any(
        s.except_user for s in sent_names
    )
    assert ("Not sent to the sockets that have joined" in described) is any(s.except_room for s in sent_names)


def test_a_notification_leaves_out_the_joined_sockets(document: dict[str, Any]) -> None:
    described = document["operations"]["contracts.send.message_notification"]["description"]
    assert described.endswith(
        "Sent to all sockets of the conversation's members. "
        "Not sent to the sockets that have joined the conversation."
    )


@each_protocol
def test_an_event_on_connect_matches_its_schema(document: dict[str, Any], protocol: ClientProtocol) -> None:
    for direct in protocol.on_connect:
        for introduction in GREETED:
            assert_matches(document, protocol, direct, introduction)


def assert_matches(
    document: dict[str, Any], protocol: ClientProtocol, direct: DirectEvent, value: Any
) -> None:
    schema = payload_of(document, operation(document, protocol, "send", direct.event)["messages"][0])
    for each in direct.split(value):
        assert complaints(document, schema, as_sent(direct.payload(each))) == []


def as_sent(payload: Any) -> Any:
    return orjson.loads(orjson.dumps(payload))
