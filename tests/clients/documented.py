"""The API documents that a gateway serves, to which all that clients send and receive must conform."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Self

import aiohttp
import jsonschema_rs
import orjson

from clients.chat import Exchange
from clients.javascript import ENGINE_S_OWN, Program
from clients.schema_checks import resolved
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.protocols.registry import PROTOCOLS

Json = dict[str, Any]


class Document:
    """One document, and the validators of its schemas."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self._validator = cache(self._make_validator)

    def check(self, about: str, value: Any, *schemas: Json) -> None:
        """Check that a value matches one of the schemas."""
        wrong = [self._complaints(value, schema) for schema in schemas]
        assert [] in wrong, f"{about} is not as described: {value!r:.2000} {wrong or 'no such event'}"

    def _complaints(self, value: Any, schema: Json) -> list[str]:
        validator = self._validator(orjson.dumps(schema))
        return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(value)]

    def _make_validator(self, schema: bytes) -> Any:
        whole = {**orjson.loads(schema), "components": self.document["components"]}
        return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


class Documents:
    """The AsyncAPI and the OpenAPI document of a running gateway."""

    def __init__(self, sockets: Json, rest: Json) -> None:
        self._sockets, self._rest = Document(sockets), Document(rest)
        self._operations: Json = sockets["operations"]

    @classmethod
    async def fetch(cls, url: str) -> Self:
        """Fetch both documents."""
        async with aiohttp.ClientSession(url) as http:
            sockets, rest = [
                await (await http.get(f"/{name}.json")).json() for name in ("asyncapi", "openapi")
            ]
        return cls(sockets, rest)

    def assert_describe_sockets(self, program: Program) -> None:
        """Check all events received, and all acknowledged ones with their payloads."""
        for place, (name, event, args) in enumerate(program.received):
            protocol = program.protocols.get(name)
            if protocol is not None and event not in ENGINE_S_OWN:
                undecided = place < program.resolved_at.get(name, len(program.received))
                self._sockets.check(event, args[0] if args else None, *self._sent(protocol, event, undecided))
        for protocol, event, args, answer in program.calls:
            self._assert_describe_call(protocol, event, args[0] if args else {}, answer)

    def assert_describe_rest(self, exchanges: Iterable[Exchange]) -> None:
        """Check all answers, and the bodies of the requests that succeeded."""
        for each in exchanges:
            operation = self._route(each.method, each.path)
            if operation is None:
                assert each.status in (404, 405), each
                continue
            about = f"{each.method} {each.path}"
            self._check_content(
                f"{about}: {each.status}", each.answer, operation["responses"][str(each.status)]
            )
            if each.status < 300 and each.body is not None and "requestBody" in operation:
                self._check_content(f"the body of {about}", each.body, operation["requestBody"])

    def _assert_describe_call(self, protocol: ClientProtocol, event: str, payload: Any, answer: Any) -> None:
        operation = self._operations.get(f"{protocol.name}.receive.{event}")
        if operation is None:
            return
        done, refused = map(self._payload, operation["reply"]["messages"])
        was_done = answer.get("success") is not False
        self._sockets.check(f"the answer to {event}", answer, done if was_done else refused)
        if was_done:
            self._sockets.check(event, payload, self._payload(operation["messages"][0]))

    def _sent(self, protocol: ClientProtocol, event: str, undecided: bool) -> list[Json]:
        others = [p for p in PROTOCOLS if undecided and p.namespace == protocol.namespace]
        names = {f"{each.name}.send.{event}" for each in (protocol, *others)} & self._operations.keys()
        return [self._payload(self._operations[name]["messages"][0]) for name in names]

    def _payload(self, message: Json) -> Json:
        payload: Json = resolved(self._sockets.document, message)["payload"]
        return payload

    def _route(self, method: str, path: str) -> Json | None:
        for template, operations in self._rest.document["paths"].items():
            pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path) and method.lower() in operations:
                found: Json = operations[method.lower()]
                return found
        return None

    def _check_content(self, about: str, value: Any, described: Json) -> None:
        (content,) = resolved(self._rest.document, described)["content"].values()
        self._rest.check(about, value, content["schema"])
