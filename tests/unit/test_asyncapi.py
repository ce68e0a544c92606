"""The AsyncAPI document says what the tables do, in words that AsyncAPI's own parser takes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from clients.described import complaints, example, outcomes, resolved
from clients.samples import EVENTS, GREETED, REFUSED
from gateway.describe.asyncapi import asyncapi
from gateway.vocabularies.spoken import VOCABULARIES
from gateway.vocabularies.vocabulary import Hears, Says, Tells, Vocabulary

NODE = Path(sys.prefix, "bin", "node")
PARSER = Path(__file__).parents[1] / "asyncapi"
HEARD = [(v, event, hears) for v in VOCABULARIES for event, hears in v.hears.items()]
SAID = [(v, says) for v in VOCABULARIES for says in v.says]

every_heard = pytest.mark.parametrize(
    ("vocabulary", "event", "hears"), HEARD, ids=[f"{v.name} {event}" for v, event, _ in HEARD]
)
every_said = pytest.mark.parametrize(
    ("vocabulary", "says"), SAID, ids=[f"{v.name} {says.event} of {says.of.__name__}" for v, says in SAID]
)
every_vocabulary = pytest.mark.parametrize("vocabulary", VOCABULARIES, ids=[v.name for v in VOCABULARIES])


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made: dict[str, Any] = orjson.loads(orjson.dumps(asyncapi(VOCABULARIES, token_in_query=True)))
    return made


def operation(document: dict[str, Any], vocabulary: Vocabulary, action: str, event: str) -> Any:
    return document["operations"][f"{vocabulary.name}.{action}.{event}"]


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
    assert parsed["channels"] == {v.name: v.namespace for v in VOCABULARIES}
    assert parsed["operations"] == {name: each["action"] for name, each in document["operations"].items()}


def test_every_event_is_described_and_no_other(document: dict[str, Any]) -> None:
    found = {name: each["action"] for name, each in document["operations"].items()}
    heard = {f"{v.name}.receive.{event}": "receive" for v, event, _ in HEARD}
    echoes = {(v, hears.echoes.event) for v, _, hears in HEARD if hears.echoes is not None}
    greetings = {(v, tells.event) for v in VOCABULARIES for tells in v.greets}
    said = {(v, says.event) for v, says in SAID}
    told = {(v.name, event) for v, event in echoes | greetings | said}
    assert found == heard | {f"{name}.send.{event}": "send" for name, event in told}
    assert all(each["description"] for each in document["operations"].values())


def test_a_message_bears_the_name_of_its_event(document: dict[str, Any]) -> None:
    for name, each in document["operations"].items():
        (message,) = each["messages"]
        assert resolved(document, message)["name"] == name.split(".", 2)[2]


@every_vocabulary
def test_who_else_speaks_on_a_namespace_is_named(document: dict[str, Any], vocabulary: Vocabulary) -> None:
    described = document["channels"][vocabulary.name]["description"]
    for other in VOCABULARIES:
        if other is not vocabulary:
            shares = other.namespace == vocabulary.namespace
            assert (f"`{other.name}`" in described) is shares


@every_heard
def test_a_payload_by_the_document_is_understood_and_answered(
    document: dict[str, Any], vocabulary: Vocabulary, event: str, hears: Hears
) -> None:
    said = operation(document, vocabulary, "receive", event)
    payload = example(document, payload_of(document, said["messages"][0]))
    done, refusal = (payload_of(document, message) for message in said["reply"]["messages"])

    for outcome in outcomes(hears.schema, payload, hears.command):
        assert complaints(document, done, as_sent(hears.answer(outcome))) == []
        if hears.echoes is not None:
            assert_told(document, vocabulary, hears.echoes, outcome)
    for error in REFUSED:
        assert complaints(document, refusal, as_sent(vocabulary.refuses(error))) == []


@every_said
def test_what_is_said_is_what_its_schema_says(
    document: dict[str, Any], vocabulary: Vocabulary, says: Says
) -> None:
    schema = payload_of(document, operation(document, vocabulary, "send", says.event)["messages"][0])
    said = [as_sent(says.payload(event)) for event in EVENTS[says.of] if says.when(event)]
    assert said
    for payload in said:
        assert complaints(document, schema, payload) == []


@every_said
def test_who_does_not_hear_it_is_told(document: dict[str, Any], vocabulary: Vocabulary, says: Says) -> None:
    described = operation(document, vocabulary, "send", says.event)["description"]
    told = [s for s in vocabulary.says if s.event == says.event]
    assert ("Not to those of whoever did it." in described) is any(s.except_user for s in told)
    assert ("Not to the sockets that joined" in described) is any(s.except_room for s in told)


def test_a_notification_goes_to_all_but_those_who_joined(document: dict[str, Any]) -> None:
    described = document["operations"]["contracts.send.message_notification"]["description"]
    assert described.endswith(
        "Goes to all sockets of the members of an event's conversation. "
        "Not to the sockets that joined the conversation of an event."
    )


@every_vocabulary
def test_a_greeting_is_what_its_schema_says(document: dict[str, Any], vocabulary: Vocabulary) -> None:
    for tells in vocabulary.greets:
        for introduction in GREETED:
            assert_told(document, vocabulary, tells, introduction)


def assert_told(document: dict[str, Any], vocabulary: Vocabulary, tells: Tells, value: Any) -> None:
    schema = payload_of(document, operation(document, vocabulary, "send", tells.event)["messages"][0])
    for each in tells.each(value):
        assert complaints(document, schema, as_sent(tells.payload(each))) == []


def as_sent(payload: Any) -> Any:
    return orjson.loads(orjson.dumps(payload))
