"""OpenAPI 3.1 of all REST paths, from the vocabularies' tables."""

import re
from collections.abc import Iterable, Sequence

from gateway.describe import attachments, texts
from gateway.describe.refusals import GATEWAY, Refusals
from gateway.describe.schemas import OPENAPI, Json, Schemas, has_ids, required
from gateway.vocabularies.administration import ADMINISTRATION
from gateway.vocabularies.refusal import REFUSAL
from gateway.vocabularies.vocabulary import Serves, Vocabulary

IN_PATH = re.compile(r"{(\w+)(?::[^{}]*)?}")
WORD = re.compile(r"\w+")


def openapi(vocabularies: Sequence[Vocabulary], *, token_in_query: bool, max_upload: int) -> Json:
    """The document, as JSON has it; attachments have at most `max_upload` bytes."""
    spoken = [v for v in (*vocabularies, ADMINISTRATION) if v.serves]
    own = Refusals(GATEWAY, Schemas(GATEWAY), REFUSAL)
    parts = [_Paths(vocabulary, own) for vocabulary in spoken]
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

    def __init__(self, vocabulary: Vocabulary, own: Refusals) -> None:
        self._vocabulary = vocabulary
        self._schemas = Schemas(vocabulary.name)
        self._own = own
        self.refusals = Refusals(vocabulary.name, self._schemas, vocabulary.refuses, beside=own)

    def paths(self) -> Json:
        """By path and method, what can be asked."""
        found: Json = {}
        for serves in self._vocabulary.serves:
            path = IN_PATH.sub(r"{\1}", serves.path)
            found.setdefault(path, {})[serves.method.lower()] = self._operation(serves)
        return found

    def _operation(self, serves: Serves) -> Json:
        operation: Json = {
            "operationId": operation_id(serves.method, serves.path),
            "tags": [self._vocabulary.name],
            "summary": serves.doc.removesuffix("."),
            "parameters": list(self._parameters(serves)),
            "responses": self._responses(serves),
        }
        if serves.body:
            operation["requestBody"] = self._body(serves)
        return operation

    def _parameters(self, serves: Serves) -> Iterable[Json]:
        taken = self._schemas.by_field(serves.schema)
        in_path = IN_PATH.findall(serves.path)
        for name in in_path:
            yield {"name": name, "in": "path", "required": True, "schema": _as_text(taken.pop(name))}
        if not serves.body:
            for name, schema in taken.items():
                must = name in required(serves.schema)
                yield {"name": name, "in": "query", "required": must, "schema": _as_text(schema)}

    def _body(self, serves: Serves) -> Json:
        in_path = IN_PATH.findall(serves.path)
        schema = self._schemas.of_payload(serves.schema, without=in_path)
        must = required(serves.schema) - {*in_path}
        return {"required": bool(must), "content": {"application/json": {"schema": schema}}}

    def _responses(self, serves: Serves) -> Json:
        schema = self._schemas.of_form(serves.answer)
        answer = {"description": "Success.", "content": {"application/json": {"schema": schema}}}
        statuses = [400, 401, 429, 503]
        if has_ids(serves.schema):
            statuses += [403, 404]
        if serves.body:
            statuses += [409]
        refused = self.refusals.of(statuses) | self._own.of([413, 415] if serves.body else [414])
        return {str(serves.status): answer, **dict(sorted(refused.items()))}


def operation_id(method: str, path: str) -> str:
    """A name for an operation: `getChatsConversationsByConversationId`."""
    words = IN_PATH.sub(r"by \1", path).replace("/", " ")
    return method.lower() + "".join(word[0].upper() + word[1:] for word in WORD.findall(words))


def _tag(vocabulary: Vocabulary) -> Json:
    about = texts.TAG.format(namespace=vocabulary.namespace) if vocabulary.hears else texts.TAG_ALONE
    return {"name": vocabulary.name, "description": about}


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
