"""The OpenAPI document says what the tables do, in words that OpenAPI's own parser takes."""

from typing import Any, cast

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from marshmallow import Schema, ValidationError, fields, validate
from openapi_spec_validator import OpenAPIV31SpecValidator

from clients.described import complaints, example, outcomes, references, resolved
from clients.samples import FILE, REFUSED
from gateway.core import commands as c
from gateway.core.errors import NotFound
from gateway.describe import documents
from gateway.describe.openapi import openapi
from gateway.rest.attachments import AttachmentPaths, described
from gateway.rest.mount import Rest
from gateway.vocabularies.administration import ADMINISTRATION
from gateway.vocabularies.contracts import IdOrObject
from gateway.vocabularies.fields import Count, Id, NumericId
from gateway.vocabularies.refusal import REFUSAL
from gateway.vocabularies.shape import Shape, number
from gateway.vocabularies.spoken import VOCABULARIES
from gateway.vocabularies.vocabulary import Serves, Vocabulary

MAX_UPLOAD = 25 * 1024 * 1024
SERVED = (*VOCABULARIES, ADMINISTRATION)
ROWS = [(vocabulary, serves) for vocabulary in SERVED for serves in vocabulary.serves]
BY_NAME = [f"{vocabulary.name} {serves.method} {serves.path}" for vocabulary, serves in ROWS]

every_row = pytest.mark.parametrize(("vocabulary", "serves"), ROWS, ids=BY_NAME)


def document_of(*vocabularies: Vocabulary) -> dict[str, Any]:
    made = openapi(vocabularies, token_in_query=True, max_upload=MAX_UPLOAD)
    document: dict[str, Any] = orjson.loads(orjson.dumps(made))
    return document


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return document_of(*VOCABULARIES)


def operations(document: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def body_of(document: dict[str, Any], operation: Any) -> Any:
    return operation["requestBody"]["content"]["application/json"]["schema"]


def answer_of(document: dict[str, Any], operation: Any, status: int) -> Any:
    return resolved(document, operation["responses"][str(status)])["content"]["application/json"]["schema"]


def test_its_own_parser_takes_it(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_path_that_is_served_is_described_and_no_other(document: dict[str, Any]) -> None:
    app = web.Application()
    nobody = cast(Any, None)
    rest = Rest(
        chat=nobody, people=nobody, authenticator=nobody, token_in_query=True, settle=nobody, rates=nobody
    )
    for vocabulary in SERVED:
        rest.mount(app, vocabulary)
    AttachmentPaths(nobody, max_upload=1, asker=nobody, refuse=nobody, rates=nobody).mount(app)
    served = {(r.method, r.resource.canonical) for r in app.router.routes() if r.resource is not None}
    assert operations(document).keys() == served


def test_every_operation_has_a_name_a_summary_and_its_vocabulary_s_tag(document: dict[str, Any]) -> None:
    found = operations(document)
    assert len({operation["operationId"] for operation in found.values()}) == len(found)
    assert all(operation["summary"] for operation in found.values())
    for vocabulary, serves in ROWS:
        assert found[serves.method, serves.path]["tags"] == [vocabulary.name]
    assert {name for o in found.values() for name in o["tags"]} == {t["name"] for t in document["tags"]}


def test_components_are_told_apart_by_their_owners(document: dict[str, Any]) -> None:
    owners = {"gateway", *(vocabulary.name for vocabulary in SERVED)}
    for kind in ("schemas", "responses"):
        assert {name.partition(".")[0] for name in document["components"][kind]} <= owners
    used = {reference.rpartition("/")[2] for reference in references(document)}
    assert {*document["components"]["schemas"], *document["components"]["responses"]} == used


def test_patterns_are_javascript_s(document: dict[str, Any]) -> None:
    text = orjson.dumps(document).decode()
    assert r"\\Z" not in text
    assert "(?P" not in text


@pytest.mark.parametrize(
    ("path", "ways_on"),
    [
        ("/chat/conversations", ["`page=2`"]),
        ("/chat/conversations/{conversationId}/messages", ["`page=2`", "`before`"]),
    ],
)
def test_a_plain_array_says_where_it_ends_and_how_to_go_on(
    document: dict[str, Any], path: str, ways_on: list[str]
) -> None:
    operation = operations(document)["GET", path]
    assert {each["name"] for each in operation["parameters"]} >= {"limit", "page"}
    for said in ["`limit`, which is 100", *ways_on]:
        assert said in operation["summary"]


@every_row
def test_a_request_by_the_document_is_understood(
    document: dict[str, Any], vocabulary: Vocabulary, serves: Serves
) -> None:
    operation = operations(document)[serves.method, serves.path]
    given = {p["name"]: example(document, p["schema"]) for p in operation["parameters"] if p["required"]}
    if serves.body:
        given |= example(document, body_of(document, operation))

    command = serves.command(serves.schema.load(given))

    assert isinstance(command, c.Command)


@every_row
def test_every_field_of_a_request_is_described(
    document: dict[str, Any], vocabulary: Vocabulary, serves: Serves
) -> None:
    operation = operations(document)[serves.method, serves.path]
    named = {p["name"]: p["required"] for p in operation["parameters"]}
    if serves.body:
        body = resolved(document, body_of(document, operation))
        assert body["additionalProperties"] is False
        named |= {name: name in body.get("required", ()) for name in body["properties"]}
        assert operation["requestBody"]["required"] is bool(body.get("required"))
    assert named == {
        field.data_key or name: field.required or f"{{{field.data_key or name}}}" in serves.path
        for name, field in serves.schema.fields.items()
    }


@every_row
def test_every_answer_is_what_its_schema_says(
    document: dict[str, Any], vocabulary: Vocabulary, serves: Serves
) -> None:
    operation = operations(document)[serves.method, serves.path]
    given = {p["name"]: example(document, p["schema"]) for p in operation["parameters"] if p["required"]}
    if serves.body:
        given |= example(document, body_of(document, operation))
    commands = [serves.command, *([serves.then] if serves.then else [])]

    for outcome in outcomes(serves.schema, given, *commands):
        answer = orjson.loads(orjson.dumps(serves.answer(outcome)))
        assert complaints(document, answer_of(document, operation, serves.status), answer) == []


@every_row
def test_every_refusal_is_what_its_schema_says(
    document: dict[str, Any], vocabulary: Vocabulary, serves: Serves
) -> None:
    operation = operations(document)[serves.method, serves.path]
    for status in (400, 401, 429, 503):
        for error in REFUSED:
            refused = vocabulary.refuses(error)
            assert complaints(document, answer_of(document, operation, status), refused) == []
    # What stands in front refuses in words of its own.
    for status in (503, *((413, 415) if serves.body else ())):
        refused = REFUSAL(NotFound("It is away."))
        assert complaints(document, answer_of(document, operation, status), refused) == []


def test_whatever_is_asked_may_be_asked_too_often(document: dict[str, Any]) -> None:
    for (method, _), operation in operations(document).items():
        refused = resolved(document, operation["responses"]["429"])
        assert method == "HEAD" or refused["headers"]["Retry-After"]["required"]


def test_an_uploaded_attachment_is_what_its_schema_says(document: dict[str, Any]) -> None:
    upload = operations(document)["POST", "/attachments"]
    answer = {"success": True, "attachment": described(FILE)}
    assert complaints(document, answer_of(document, upload, 201), answer) == []


class EveryKindDto(Schema):
    """One field of each kind that vocabularies use."""

    id = Id()
    maybe = Id(allow_none=True)
    number = NumericId()
    either = IdOrObject()
    count = Count(least=1, most=9)
    few = fields.List(NumericId(), validate=validate.Length(max=2))
    choice = fields.String(validate=validate.OneOf(["one", "other"]), allow_none=True)
    by_id = fields.Dict(keys=Id(), values=Count(), data_key="byId", validate=validate.Length(max=2))
    named = fields.UUID(allow_none=True)
    coded = fields.String(validate=validate.Regexp(r"[a-c]+|x\Z"))


EVERY_KIND = Vocabulary(
    name="every-kind",
    namespace="/every",
    hears={},
    says=(),
    refuses=REFUSAL,
    serves=(
        Serves(
            method="PUT",
            path="/every",
            schema=EveryKindDto(),
            command=lambda _: c.CountUnread(),
            answer=Shape("EveryKind", {"count": number("")}),
            body=True,
        ),
    ),
)
VALUES = [
    *({"id": value} for value in ("a", "ä" * 128, " ", "a/b", "a\\Z")),
    *({"id": value} for value in ("", "a" * 129, "a\nb", "a\n", "\x7f", 5, None, True, ["a"])),
    *({"maybe": value} for value in (None, "a", "", 0)),
    *({"number": value} for value in ("12", 12, 0, -1, 2**64 - 1, 1.5, True, None, "", [1])),
    *({"either": value} for value in ("12", {"id": "12"}, {"id": "a", "name": "b"}, {}, {"id": 1}, 12, None)),
    *({"count": value} for value in (1, 9, 0, 10, "1", 1.5, None)),
    *({"few": value} for value in ([], [1, "2"], [1, 2, 3], ["a", None], "12", None)),
    *({"choice": value} for value in ("one", None, "three", 1)),
    *(
        {"byId": value}
        for value in ({}, {"a": 1}, {"": 1}, {"a": -1}, {"a": "1"}, {"a": 1, "b": 2, "c": 3}, [])
    ),
    *({"named": value} for value in ("7f0c2ad6-7c1a-4c3e-9f52-3f1c5a0f3a10", None, "7f0c2ad6", 5)),
    *({"coded": value} for value in ("abc", "abd", "x", "xx", "", "dab", "\nx")),
    {},
    {"unknown": 1},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_schema_takes_what_is_taken_and_refuses_what_is_refused(value: Any) -> None:
    document = document_of(EVERY_KIND)
    body = body_of(document, operations(document)["PUT", "/every"])
    try:
        EveryKindDto().load(value)
    except ValidationError:
        assert complaints(document, body, value)
    else:
        assert complaints(document, body, value) == []


def test_two_shapes_of_one_name_are_two_components() -> None:
    class Counted(Schema):
        count = Count()

    serves = EVERY_KIND.serves[0]
    answers = Shape("Counted", {"count": number("")})
    row = Serves(
        method="POST", path="/c", schema=Counted(), command=serves.command, answer=answers, body=True
    )
    made = document_of(
        Vocabulary(name="two", namespace="/", hears={}, says=(), refuses=REFUSAL, serves=(row,))
    )
    assert {"two.Counted", "two.Counted2"} <= made["components"]["schemas"].keys()


def test_where_tokens_in_the_query_are_off_none_are_spoken_of() -> None:
    document = openapi(VOCABULARIES, token_in_query=False, max_upload=MAX_UPLOAD)
    assert document["security"] == [{"bearer": []}]
    assert document["components"]["securitySchemes"].keys() == {"bearer"}


@pytest.mark.parametrize("path", ["/openapi.json", "/asyncapi.json"])
async def test_a_document_is_sent_once_to_who_keeps_it(path: str) -> None:
    app = web.Application()
    documents.add_routes(app, VOCABULARIES, token_in_query=True, max_upload=MAX_UPLOAD)
    async with TestClient(TestServer(app)) as client:
        first = await client.get(path)
        assert (first.status, first.content_type) == (200, "application/json")
        assert await first.json()
        again = await client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, await again.read()) == (304, b"")
