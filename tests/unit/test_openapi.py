"""The OpenAPI document describes the protocols' tables, and OpenAPI's own parser accepts it."""

from typing import Any, cast

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from marshmallow import Schema, ValidationError, fields, validate
from openapi_spec_validator import OpenAPIV31SpecValidator

from clients.samples import FILE, REFUSED
from clients.schema_checks import complaints, example, outcomes, references, resolved
from parley.gateway.api_docs import documents
from parley.gateway.api_docs.openapi import openapi
from parley.gateway.core import commands as c
from parley.gateway.core.errors import NotFound
from parley.gateway.protocols.administration import ADMINISTRATION
from parley.gateway.protocols.contracts.requests import FileRef, MilestoneId
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.protocols.fields import Count, Id, NumericId
from parley.gateway.protocols.protocol import ClientProtocol, Route
from parley.gateway.protocols.registry import PROTOCOLS
from parley.gateway.protocols.serializer import Serializer, number
from parley.gateway.rest.attachments import AttachmentRoutes, attachment_payload
from parley.gateway.rest.mount import RestApi

MAX_UPLOAD = 25 * 1024 * 1024
SERVED = (*PROTOCOLS, ADMINISTRATION)
ROUTES = [(protocol, route) for protocol in SERVED for route in protocol.routes]
NAMES = [f"{protocol.name} {route.method} {route.path}" for protocol, route in ROUTES]

each_route = pytest.mark.parametrize(("protocol", "route"), ROUTES, ids=NAMES)


def document_of(*protocols: ClientProtocol) -> dict[str, Any]:
    made = openapi(protocols, token_in_query=True, max_upload=MAX_UPLOAD)
    document: dict[str, Any] = orjson.loads(orjson.dumps(made))
    return document


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return document_of(*PROTOCOLS)


def operations(document: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def body_of(document: dict[str, Any], operation: Any) -> Any:
    return operation["requestBody"]["content"]["application/json"]["schema"]


def response_of(document: dict[str, Any], operation: Any, status: int) -> Any:
    return resolved(document, operation["responses"][str(status)])["content"]["application/json"]["schema"]


def test_openapi_s_own_parser_accepts_the_document(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_the_document_describes_every_served_path_and_no_other(document: dict[str, Any]) -> None:
    app = web.Application()
    nobody = cast(Any, None)
    rest = RestApi(
        command_bus=nobody,
        profiles=nobody,
        authenticator=nobody,
        token_in_query=True,
        wait_for_commit=nobody,
        rates=nobody,
        audience_costs=nobody,
        answers=nobody,
    )
    for protocol in SERVED:
        rest.mount(app, protocol)
    AttachmentRoutes(nobody, max_upload=1, authenticate=nobody, refuse=nobody, rates=nobody).mount(app)
    resources = [(r.method, r.resource.canonical) for r in app.router.routes() if r.resource is not None]
    served = {(method, path.removesuffix("/")) for method, path in resources}
    of_get = {("HEAD", route.path) for _, route in ROUTES if route.method == "GET"}
    assert operations(document).keys() | of_get == served


def test_every_operation_has_a_name_a_summary_and_its_protocol_s_tag(document: dict[str, Any]) -> None:
    found = operations(document)
    assert len({operation["operationId"] for operation in found.values()}) == len(found)
    assert all(operation["summary"] for operation in found.values())
    for protocol, route in ROUTES:
        assert found[route.method, route.path]["tags"] == [protocol.name]
    assert {name for o in found.values() for name in o["tags"]} == {t["name"] for t in document["tags"]}


def test_components_have_their_owner_s_prefix(document: dict[str, Any]) -> None:
    owners = {"gateway", *(protocol.name for protocol in SERVED)}
    for kind in ("schemas", "responses"):
        assert {name.partition(".")[0] for name in document["components"][kind]} <= owners
    used = {reference.rpartition("/")[2] for reference in references(document)}
    assert {*document["components"]["schemas"], *document["components"]["responses"]} == used


def test_patterns_are_ecma_262(document: dict[str, Any]) -> None:
    text = orjson.dumps(document).decode()
    assert r"\\Z" not in text
    assert "(?P" not in text


@pytest.mark.parametrize(
    ("path", "continuations"),
    [
        ("/chat/conversations", ["`page=2`"]),
        ("/chat/conversations/{conversationId}/messages", ["`page=2`", "`before`"]),
    ],
)
def test_a_route_that_answers_an_array_explains_its_paging(
    document: dict[str, Any], path: str, continuations: list[str]
) -> None:
    operation = operations(document)["GET", path]
    assert {each["name"] for each in operation["parameters"]} >= {"limit", "page"}
    for text in ["`limit`, 100 by default", *continuations]:
        assert text in operation["summary"]


@each_route
def test_a_request_by_the_document_is_accepted(
    document: dict[str, Any], protocol: ClientProtocol, route: Route
) -> None:
    operation = operations(document)[route.method, route.path]
    given = {p["name"]: example(document, p["schema"]) for p in operation["parameters"] if p["required"]}
    if route.body:
        given |= example(document, body_of(document, operation))

    command = route.command(route.schema.load(given))

    assert isinstance(command, c.Command)


def document_fields(route: Route) -> set[str]:
    return {field.data_key or name for name, field in route.schema.fields.items()}


@each_route
def test_the_document_describes_every_field_of_a_request(
    document: dict[str, Any], protocol: ClientProtocol, route: Route
) -> None:
    operation = operations(document)[route.method, route.path]
    named = {p["name"]: p["required"] for p in operation["parameters"] if p["in"] != "header"}
    headers = {p["name"] for p in operation["parameters"] if p["in"] == "header"}
    assert headers == ({"Idempotency-Key"} if route.idempotency else set())
    assert route.idempotency is None or route.idempotency in document_fields(route)
    if route.body:
        body = resolved(document, body_of(document, operation))
        assert body["additionalProperties"] is False
        named |= {name: name in body.get("required", ()) for name in body["properties"]}
        assert operation["requestBody"]["required"] is bool(body.get("required"))
    assert named == {
        field.data_key or name: field.required or f"{{{field.data_key or name}}}" in route.path
        for name, field in route.schema.fields.items()
    }


@each_route
def test_every_response_matches_its_schema(
    document: dict[str, Any], protocol: ClientProtocol, route: Route
) -> None:
    operation = operations(document)[route.method, route.path]
    given = {p["name"]: example(document, p["schema"]) for p in operation["parameters"] if p["required"]}
    if route.body:
        given |= example(document, body_of(document, operation))
    commands = [route.command, *([route.then] if route.then else [])]

    for outcome in outcomes(route.schema, given, *commands):
        answer = orjson.loads(orjson.dumps(route.response(outcome)))
        assert complaints(document, response_of(document, operation, route.status), answer) == []


@each_route
def test_every_error_response_matches_its_schema(
    document: dict[str, Any], protocol: ClientProtocol, route: Route
) -> None:
    operation = operations(document)[route.method, route.path]
    of_body = (413, 415) if route.body else ()
    for status in (400, 401, 429, 503, *of_body):
        for error in REFUSED:
            refused = protocol.refusal(error)
            assert complaints(document, response_of(document, operation, status), refused) == []
    # nginx sends the default payload, and so does the gateway before it knows the protocol.
    for status in (503, *of_body):
        refused = REFUSAL(NotFound("Not found."))
        assert complaints(document, response_of(document, operation, status), refused) == []


def test_every_operation_may_be_rate_limited(document: dict[str, Any]) -> None:
    for (method, _), operation in operations(document).items():
        refused = resolved(document, operation["responses"]["429"])
        assert method == "HEAD" or refused["headers"]["Retry-After"]["required"]


def test_the_response_to_an_upload_matches_its_schema(document: dict[str, Any]) -> None:
    upload = operations(document)["POST", "/attachments"]
    answer = {"success": True, "attachment": attachment_payload(FILE)}
    assert complaints(document, response_of(document, upload, 201), answer) == []


class EveryKindDto(Schema):
    """One field of each kind that protocols use."""

    id = Id()
    maybe = Id(allow_none=True)
    number = NumericId()
    either = FileRef()
    milestone = MilestoneId()
    count = Count(least=1, most=9)
    few = fields.List(NumericId(), validate=validate.Length(max=2))
    choice = fields.String(validate=validate.OneOf(["one", "other"]), allow_none=True)
    by_id = fields.Dict(keys=Id(), values=Count(), data_key="byId", validate=validate.Length(max=2))
    named = fields.UUID(allow_none=True)
    coded = fields.String(validate=validate.Regexp(r"[a-c]+|x\Z"))


EVERY_KIND = ClientProtocol(
    name="every-kind",
    namespace="/every",
    inbound={},
    outbound=(),
    refusal=REFUSAL,
    routes=(
        Route(
            method="PUT",
            path="/every",
            schema=EveryKindDto(),
            command=lambda _: c.CountUnread(),
            response=Serializer("EveryKind", {"count": number("")}),
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
    *({"milestone": value} for value in ("12", {"id": "12"}, {"id": 1, "name": "b"}, {}, 12, None, [1])),
    *({"milestone": {"_id": value, "title": "b"}} for value in ("12", 5, None, "", {"$oid": "a"}, True)),
    *({"milestone": {"id": value, "_id": "a"}} for value in ("b", None, "")),
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
def test_the_schema_accepts_the_values_that_the_gateway_accepts(value: Any) -> None:
    document = document_of(EVERY_KIND)
    body = body_of(document, operations(document)["PUT", "/every"])
    try:
        EveryKindDto().load(value)
    except ValidationError:
        assert complaints(document, body, value)
    else:
        assert complaints(document, body, value) == []


def test_two_schemas_of_one_name_become_two_components() -> None:
    class Counted(Schema):
        count = Count()

    route = EVERY_KIND.routes[0]
    answers = Serializer("Counted", {"count": number("")})
    row = Route(
        method="POST", path="/c", schema=Counted(), command=route.command, response=answers, body=True
    )
    made = document_of(
        ClientProtocol(name="two", namespace="/", inbound={}, outbound=(), refusal=REFUSAL, routes=(row,))
    )
    assert {"two.Counted", "two.Counted2"} <= made["components"]["schemas"].keys()


def test_the_document_omits_query_tokens_where_they_are_off() -> None:
    document = openapi(PROTOCOLS, token_in_query=False, max_upload=MAX_UPLOAD)
    assert document["security"] == [{"bearer": []}]
    assert document["components"]["securitySchemes"].keys() == {"bearer"}


@pytest.mark.parametrize("path", ["/openapi.json", "/asyncapi.json"])
async def test_a_cached_document_is_answered_with_304(path: str) -> None:
    app = web.Application()
    documents.add_routes(app, PROTOCOLS, token_in_query=True, max_upload=MAX_UPLOAD)
    async with TestClient(TestServer(app)) as client:
        first = await client.get(path)
        assert (first.status, first.content_type) == (200, "application/json")
        assert await first.json()
        again = await client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, await again.read()) == (304, b"")
