"""The AsyncAPI document says what the tables do, in words that AsyncAPI's own parser takes."""

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
from parley.gateway.protocols.protocol import ClientProtocol, DirectEvent, InboundEvent, OutboundEvent
from parley.gateway.protocols.registry import PROTOCOLS

NODE = Path(sys.prefix, "bin", "node")
PARSER = Path(__file__).parents[1] / "asyncapi"
HEARD = [(v, event, inbound) for v in PROTOCOLS for event, inbound in v.inbound.items()]
SAID = [(v, outbound) for v in PROTOCOLS for outbound in v.outbound]

every_heard = pytest.mark.parametrize(
    ("protocol", "event", "inbound"), HEARD, ids=[f"{v.name} {event}" for v, event, _ in HEARD]
)
every_said = pytest.mark.parametrize(
    ("protocol", "outbound"),
    SAID,
    ids=[f"{v.name} {outbound.event} of {outbound.of.__name__}" for v, outbound in SAID],
)
every_vocabulary = pytest.mark.parametrize("protocol", PROTOCOLS, ids=[v.name for v in PROTOCOLS])


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made: dict[str, Any] = orjson.loads(orjson.dumps(asyncapi(PROTOCOLS, token_in_query=True)))
    return made


def operation(document: dict[str, Any], protocol: ClientProtocol, action: str, event: str) -> Any:
    return document["operations"][f"{protocol.name}.{action}.{event}"]


def payload_of(document: dict[str, Any], message: Any) -> Any:
    return resolved(document, message)["payload"]


def test_its_own_parser_takes_it(document: dict[str, Any]) -> None:
    assert (PARSER / "node_modules").exists(), "AsyncAPI's parser is missing: `make test` installs it"
    parsed = json.loads(
        subprocess.run(
            [NODE, PARSER / "parse.mjs"], input=orjson.dumps(document), stdout=subprocess.PIPE, check=True
        ).stdout
    )
    wrong = [each for each in parsed["diagnostics"] if each["code"] != "asyncapi-latest-version"]
    assert wrong == []
    assert parsed["channels"] == {v.name: v.namespace for v in PROTOCOLS}
    assert parsed["operations"] == {name: each["action"] for name, each in document["operations"].items()}


def test_every_event_is_described_and_no_other(document: dict[str, Any]) -> None:
    found = {name: each["action"] for name, each in document["operations"].items()}
    heard = {f"{v.name}.receive.{event}": "receive" for v, event, _ in HEARD}
    reply = {(v, inbound.reply.event) for v, _, inbound in HEARD if inbound.reply is not None}
    greetings = {(v, direct.event) for v in PROTOCOLS for direct in v.on_connect}
    said = {(v, outbound.event) for v, outbound in SAID}
    told = {(v.name, event) for v, event in reply | greetings | said}
    assert found == heard | {f"{name}.send.{event}": "send" for name, event in told}
    assert all(each["description"] for each in document["operations"].values())


def test_a_message_bears_the_name_of_its_event(document: dict[str, Any]) -> None:
    for name, each in document["operations"].items():
        (message,) = each["messages"]
        assert resolved(document, message)["name"] == name.split(".", 2)[2]


@every_vocabulary
def test_who_else_speaks_on_a_namespace_is_named(document: dict[str, Any], protocol: ClientProtocol) -> None:
    described = document["channels"][protocol.name]["description"]
    for other in PROTOCOLS:
        if other is not protocol:
            shares = other.namespace == protocol.namespace
            assert (f"`{other.name}`" in described) is shares


@every_heard
def test_a_payload_by_the_document_is_understood_and_answered(
    document: dict[str, Any], protocol: ClientProtocol, event: str, inbound: InboundEvent
) -> None:
    said = operation(document, protocol, "receive", event)
    payload = example(document, payload_of(document, said["messages"][0]))
    done, refusal = (payload_of(document, message) for message in said["reply"]["messages"])

    for outcome in outcomes(inbound.schema, payload, inbound.command):
        assert complaints(document, done, as_sent(inbound.answer(outcome))) == []
        if inbound.reply is not None:
            assert_told(document, protocol, inbound.reply, outcome)
    for error in REFUSED:
        assert complaints(document, refusal, as_sent(protocol.refusal(error))) == []


@every_said
def test_what_is_said_is_what_its_schema_says(
    document: dict[str, Any], protocol: ClientProtocol, outbound: OutboundEvent
) -> None:
    schema = payload_of(document, operation(document, protocol, "send", outbound.event)["messages"][0])
    said = [as_sent(outbound.payload(event)) for event in EVENTS[outbound.of] if outbound.when(event)]
    assert said
    for payload in said:
        assert complaints(document, schema, payload) == []


@every_said
def test_who_does_not_hear_it_is_told(
    document: dict[str, Any], protocol: ClientProtocol, outbound: OutboundEvent
) -> None:
    described = operation(document, protocol, "send", outbound.event)["description"]
    told = [s for s in protocol.outbound if s.event == outbound.event]
    assert ("Not to those of whoever did it." in described) is any(s.except_user for s in told)
    assert ("Not to the sockets that joined" in described) is any(s.except_room for s in told)


def test_a_notification_goes_to_all_but_those_who_joined(document: dict[str, Any]) -> None:
    described = document["operations"]["contracts.send.message_notification"]["description"]
    assert described.endswith(
        "Goes to all sockets of the members of an event's conversation. "
        "Not to the sockets that joined the conversation of an event."
    )


@every_vocabulary
def test_a_greeting_is_what_its_schema_says(document: dict[str, Any], protocol: ClientProtocol) -> None:
    for direct in protocol.on_connect:
        for introduction in GREETED:
            assert_told(document, protocol, direct, introduction)


def assert_told(document: dict[str, Any], protocol: ClientProtocol, direct: DirectEvent, value: Any) -> None:
    schema = payload_of(document, operation(document, protocol, "send", direct.event)["messages"][0])
    for each in direct.each(value):
        assert complaints(document, schema, as_sent(direct.payload(each))) == []


def as_sent(payload: Any) -> Any:
    return orjson.loads(orjson.dumps(payload))
