"""OpenAPI 3.1 of all REST paths, from the vocabularies' tables."""

import re
from collections.abc import Iterable, Sequence

from parley.gateway.api_docs import attachments, texts
from parley.gateway.api_docs.refusals import GATEWAY, Refusals
from parley.gateway.api_docs.schemas import OPENAPI, Json, Schemas, has_ids, required
from parley.gateway.protocols.administration import ADMINISTRATION
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.protocols.protocol import ClientProtocol, Route

IN_PATH = re.compile(r"{(\w+)(?::[^{}]*)?}")
WORD = re.compile(r"\w+")


def openapi(protocols: Sequence[ClientProtocol], *, token_in_query: bool, max_upload: int) -> Json:
    """The document, as JSON has it; attachments have at most `max_upload` bytes."""
    spoken = [v for v in (*protocols, ADMINISTRATION) if v.routes]
    own = Refusals(GATEWAY, Schemas(GATEWAY), REFUSAL)
    parts = [_Paths(protocol, own) for protocol in spoken]
    paths: Json = {}
    for part in parts:
        for path, methods in part.paths().items():
            paths.setdefault(path, {}).update(methods)
    paths |= attachments.paths(own, max_upload)
    refusals = [own, *(part.refusals for part in parts)]
    return {
        "openapi": OPENAPI,
        "info": {**texts.INFO, "description": texts.REST},
        "servers": [{"url": "/", "description": "Where this document comes from."}],
        "security": [{"bearer": []}, *([{"token": []}] if token_in_query else [])],
        "tags": [*(_tag(v) for v in spoken), attachments.TAG],
        "paths": paths,
        "components": {
            "schemas": _joined(each.schemas.components for each in refusals),
            "responses": _joined(each.responses for each in refusals),
            "securitySchemes": _security_schemes(token_in_query),
        },
    }


class _Paths:
    """The paths of one vocabulary."""

    def __init__(self, protocol: ClientProtocol, own: Refusals) -> None:
        self._protocol = protocol
        self._schemas = Schemas(protocol.name)
        self._own = own
        self.refusals = Refusals(protocol.name, self._schemas, protocol.refusal, beside=own)

    def paths(self) -> Json:
        """By path and method, what can be asked."""
        found: Json = {}
        for route in self._protocol.routes:
            path = IN_PATH.sub(r"{\1}", route.path)
            found.setdefault(path, {})[route.method.lower()] = self._operation(route)
        return found

    def _operation(self, route: Route) -> Json:
        operation: Json = {
            "operationId": operation_id(route.method, route.path),
            "tags": [self._protocol.name],
            "summary": route.doc.removesuffix("."),
            "parameters": list(self._parameters(route)),
            "responses": self._responses(route),
        }
        if route.body:
            operation["requestBody"] = self._body(route)
        return operation

    def _parameters(self, route: Route) -> Iterable[Json]:
        taken = self._schemas.by_field(route.schema)
        in_path = IN_PATH.findall(route.path)
        for name in in_path:
            yield {"name": name, "in": "path", "required": True, "schema": _as_text(taken.pop(name))}
        if not route.body:
            for name, schema in taken.items():
                must = name in required(route.schema)
                yield {"name": name, "in": "query", "required": must, "schema": _as_text(schema)}

    def _body(self, route: Route) -> Json:
        in_path = IN_PATH.findall(route.path)
        schema = self._schemas.of_payload(route.schema, without=in_path)
        must = required(route.schema) - {*in_path}
        return {"required": bool(must), "content": {"application/json": {"schema": schema}}}

    def _responses(self, route: Route) -> Json:
        schema = self._schemas.of_form(route.answer)
        answer = {"description": "Success.", "content": {"application/json": {"schema": schema}}}
        statuses = [400, 401, 429, 503]
        if has_ids(route.schema):
            statuses += [403, 404]
        if route.body:
            statuses += [409]
        refused = self.refusals.of(statuses) | self._own.of([413, 415] if route.body else [414])
        return {str(route.status): answer, **dict(sorted(refused.items()))}


def operation_id(method: str, path: str) -> str:
    """A name for an operation: `getChatsConversationsByConversationId`."""
    words = IN_PATH.sub(r"by \1", path).replace("/", " ")
    return method.lower() + "".join(word[0].upper() + word[1:] for word in WORD.findall(words))


def _tag(protocol: ClientProtocol) -> Json:
    about = texts.TAG.format(namespace=protocol.namespace) if protocol.inbound else texts.TAG_ALONE
    return {"name": protocol.name, "description": about}


def _as_text(schema: Json) -> Json:
    """The schema of a parameter: text in a path or a query is never null."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [_as_text(each) for each in schema["anyOf"]]}
    if not isinstance(schema.get("type"), list):
        return schema
    (kind,) = (kind for kind in schema["type"] if kind != "null")
    return {**schema, "type": kind}


def _joined(parts: Iterable[Json]) -> Json:
    return {name: each for part in parts for name, each in part.items()}


def _security_schemes(token_in_query: bool) -> Json:
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": texts.TOKEN}
    token = {"type": "apiKey", "in": "query", "name": "token", "description": texts.TOKEN_IN_QUERY}
    return {"bearer": bearer, **({"token": token} if token_in_query else {})}
