"""Generate the OpenAPI 3.1 document of all REST routes from the protocols' tables."""

import re
from collections.abc import Iterable, Sequence

from parley.gateway.api_docs import attachments, texts
from parley.gateway.api_docs.error_responses import GATEWAY, ErrorResponses
from parley.gateway.api_docs.schemas import OPENAPI, Json, Schemas, has_ids, required
from parley.gateway.protocols.administration import ADMINISTRATION
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.protocols.protocol import ClientProtocol, Route
from parley.gateway.rest.idempotency_key import HEADER, MAX_KEY

IN_PATH = re.compile(r"{(\w+)(?::[^{}]*)?}")
IDEMPOTENCY_KEY: Json = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY},
}
WORD = re.compile(r"\w+")


def openapi(protocols: Sequence[ClientProtocol], *, token_in_query: bool, max_upload: int) -> Json:
    """Build the document as a JSON value.

    Args:
        protocols: The protocols to describe.
        token_in_query: Whether `?token=` is accepted.
        max_upload: The largest attachment, in bytes.
    """
    served = [v for v in (*protocols, ADMINISTRATION) if v.routes]
    own = ErrorResponses(GATEWAY, Schemas(GATEWAY), REFUSAL)
    parts = [_Paths(protocol, own) for protocol in served]
    paths: Json = {}
    for part in parts:
        for path, methods in part.paths().items():
            paths.setdefault(path, {}).update(methods)
    paths |= attachments.paths(own, max_upload)
    errors = [own, *(part.errors for part in parts)]
    return {
        "openapi": OPENAPI,
        "info": {**texts.INFO, "description": texts.REST},
        "servers": [{"url": "/", "description": "The server of this document."}],
        "security": [{"bearer": []}, *([{"token": []}] if token_in_query else [])],
        "tags": [*(_tag(v) for v in served), attachments.TAG],
        "paths": paths,
        "components": {
            "schemas": _joined(each.schemas.components for each in errors),
            "responses": _joined(each.responses for each in errors),
            "securitySchemes": _security_schemes(token_in_query),
        },
    }


class _Paths:
    """The paths of one protocol."""

    def __init__(self, protocol: ClientProtocol, own: ErrorResponses) -> None:
        self._protocol = protocol
        self._schemas = Schemas(protocol.name)
        self._own = own
        self.errors = ErrorResponses(protocol.name, self._schemas, protocol.refusal, beside=own)

    def paths(self) -> Json:
        """Build the operations by path and method."""
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
        if route.idempotency is not None:
            yield {**IDEMPOTENCY_KEY, "description": texts.IDEMPOTENCY_KEY.format(field=route.idempotency)}

    def _body(self, route: Route) -> Json:
        in_path = IN_PATH.findall(route.path)
        schema = self._schemas.of_input(route.schema, without=in_path)
        must = required(route.schema) - {*in_path}
        return {"required": bool(must), "content": {"application/json": {"schema": schema}}}

    def _responses(self, route: Route) -> Json:
        schema = self._schemas.of_output(route.response)
        answer = {"description": "Success.", "content": {"application/json": {"schema": schema}}}
        statuses = [400, 401, 429, 503]
        if has_ids(route.schema):
            statuses += [403, 404]
        elif self._protocol is ADMINISTRATION:
            statuses += [403]
        if route.body:
            statuses += [409, 413, 415]
        refused = self.errors.of(statuses) | self._own.of([] if route.body else [414])
        return {str(route.status): answer, **dict(sorted(refused.items()))}


def operation_id(method: str, path: str) -> str:
    """Name an operation, like `getChatsConversationsByConversationId`."""
    words = IN_PATH.sub(r"by \1", path).replace("/", " ")
    return method.lower() + "".join(word[0].upper() + word[1:] for word in WORD.findall(words))


def _tag(protocol: ClientProtocol) -> Json:
    about = texts.TAG.format(namespace=protocol.namespace) if protocol.inbound else texts.TAG_ALONE
    return {"name": protocol.name, "description": about}


def _as_text(schema: Json) -> Json:
    """Remove `null` from a schema: a parameter in a path or a query is never null."""
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
