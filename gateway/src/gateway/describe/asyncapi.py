"""AsyncAPI 3 of all Socket.IO events, from the vocabularies' tables.

Operations are the gateway's: what clients may emit it receives, what they may hear it sends.
"""

from collections.abc import Callable, Iterable, Sequence
from inspect import getdoc
from typing import Any

from gateway.describe import texts
from gateway.describe.schemas import Json, Schemas
from gateway.vocabularies.vocabulary import Hears, Says, Tells, Vocabulary

ASYNCAPI = "3.0.0"
REFUSAL = "refusal"


def asyncapi(vocabularies: Sequence[Vocabulary], *, token_in_query: bool) -> Json:
    """The document, as JSON has it."""
    parts = [_Channel(vocabulary, vocabularies) for vocabulary in vocabularies]
    schemes = _security_schemes(token_in_query)
    return {
        "asyncapi": ASYNCAPI,
        "info": {**texts.INFO, "description": texts.SOCKETS},
        "defaultContentType": "application/json",
        "servers": {"gateway": _server(schemes)},
        "channels": {part.name: part.described() for part in parts},
        "operations": {name: each for part in parts for name, each in part.operations.items()},
        "components": {
            "schemas": {name: each for part in parts for name, each in part.schemas.components.items()},
            "securitySchemes": schemes,
        },
    }


class _Channel:
    """One vocabulary: its messages, and what is done with them."""

    def __init__(self, vocabulary: Vocabulary, all_: Iterable[Vocabulary]) -> None:
        self.name = vocabulary.name
        self.schemas = Schemas(vocabulary.name)
        self.operations: Json = {}
        self._vocabulary = vocabulary
        self._beside = [v for v in all_ if v.namespace == vocabulary.namespace and v is not vocabulary]
        self._messages: Json = {}
        self._add_message(REFUSAL, "Refused", self.schemas.of_form(vocabulary.refuses))
        for event, hears in vocabulary.hears.items():
            self._receive(event, hears)
        for event, told in _by_event(vocabulary).items():
            self._send(event, told)

    def described(self) -> Json:
        """The channel; its key is the vocabulary's name, its address the namespace."""
        names = {"name": self.name, "namespace": self._vocabulary.namespace}
        others = ", ".join(f"`{v.name}`" for v in self._beside)
        more = texts.BESIDE.format(others=others) if others else texts.ALONE.format(**names)
        return {
            "address": self._vocabulary.namespace,
            "title": self.name,
            "description": f"{texts.CHANNEL.format(**names)} {more}",
            "servers": [{"$ref": "#/servers/gateway"}],
            "messages": self._messages,
            "bindings": {"ws": _HANDSHAKE},
        }

    def _receive(self, event: str, hears: Hears) -> None:
        about = getdoc(type(hears.schema)) or ""
        if hears.echoes is not None:
            about += f" The result is told by `{hears.echoes.event}` too."
        said = self._add_message(f"client.{event}", event, self.schemas.of_payload(hears.schema), name=event)
        done = self._add_message(f"done.{event}", f"{event} is done", self.schemas.of_form(hears.answer))
        self._operate(
            "receive",
            event,
            about,
            said,
            reply={"channel": self._ref, "messages": [done, self._message(REFUSAL)]},
        )

    def _send(self, event: str, told: Sequence[tuple[str, Says | Tells]]) -> None:
        payloads: list[Json] = []
        for _, each in told:
            payload = self.schemas.of_form(each.payload)
            if payload not in payloads:
                payloads.append(payload)
        payload = payloads[0] if len(payloads) == 1 else {"anyOf": payloads}
        about = " ".join(dict.fromkeys(about for about, _ in told))
        self._operate("send", event, about, self._add_message(f"server.{event}", event, payload, name=event))

    def _operate(self, action: str, event: str, about: str, message: Json, **more: Json) -> None:
        self.operations[f"{self.name}.{action}.{event}"] = {
            "action": action,
            "channel": self._ref,
            "title": event,
            "description": about,
            "messages": [message],
            **more,
        }

    def _add_message(self, key: str, title: str, payload: Json, **name: str) -> Json:
        self._messages[key] = {"title": title, **name, "payload": payload}
        return self._message(key)

    def _message(self, key: str) -> Json:
        return {"$ref": f"{self._ref['$ref']}/messages/{key}"}

    @property
    def _ref(self) -> dict[str, str]:
        return {"$ref": f"#/channels/{self.name}"}


def _by_event(vocabulary: Vocabulary) -> dict[str, list[tuple[str, Says | Tells]]]:
    """What is said, by the event's name, with when and to whom."""
    told: list[tuple[str, Says | Tells]] = [(texts.GREETING, tells) for tells in vocabulary.greets]
    for event, hears in vocabulary.hears.items():
        if hears.echoes is not None:
            told.append((texts.ECHO.format(event=event), hears.echoes))
    told += [(_about(says), says) for says in vocabulary.says]
    found: dict[str, list[tuple[str, Says | Tells]]] = {}
    for about, each in told:
        found.setdefault(each.event, []).append((about, each))
    return found


def _about(says: Says) -> str:
    sentences = [texts.WHEN.get(says.of) or getdoc(says.of) or "", texts.TO.format(whom=_whom(says.room))]
    if says.except_user is not None:
        sentences.append(texts.EXCEPT_USER)
    if says.except_room is not None:
        sentences.append(texts.EXCEPT_ROOM.format(whom=_whom(says.except_room)))
    return " ".join(sentences)


def _whom(room: Callable[[Any], str]) -> str:
    """A room's sockets, within a sentence and with its end."""
    sockets = getdoc(room) or "the sockets concerned."
    return sockets[:1].lower() + sockets[1:]


_HANDSHAKE: Json = {
    "method": "GET",
    "query": {
        "type": "object",
        "properties": {
            "EIO": {"type": "string", "enum": ["4"]},
            "transport": {"type": "string", "enum": ["polling", "websocket"]},
        },
        "required": ["EIO", "transport"],
    },
    "bindingVersion": "0.1.0",
}


def _server(schemes: Json) -> Json:
    return {
        "host": "{host}",
        "variables": {"host": {"default": "localhost:8080", "description": "Where this document is from."}},
        "protocol": "ws",
        "protocolVersion": "13",
        "pathname": "/socket.io/",
        "title": "Socket.IO 5 over Engine.IO 4",
        "description": "By websocket or by polling, as every Socket.IO client since 3.0 does it.",
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in schemes],
    }


def _security_schemes(token_in_query: bool) -> Json:
    auth = {"type": "apiKey", "in": "password", "description": texts.TOKEN_IN_AUTH}
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": texts.TOKEN}
    token = {"type": "httpApiKey", "in": "query", "name": "token", "description": texts.TOKEN_IN_QUERY}
    return {"auth": auth, "bearer": bearer, **({"token": token} if token_in_query else {})}
