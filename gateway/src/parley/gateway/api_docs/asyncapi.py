"""AsyncAPI 3 of all Socket.IO events, from the vocabularies' tables.

Operations are the gateway's: what clients may emit it receives, what they may hear it sends.
"""

from collections.abc import Callable, Iterable, Sequence
from inspect import getdoc
from typing import Any

from parley.gateway.api_docs import texts
from parley.gateway.api_docs.schemas import Json, Schemas
from parley.gateway.protocols.protocol import ClientProtocol, DirectEvent, InboundEvent, OutboundEvent

ASYNCAPI = "3.0.0"
REFUSAL = "refusal"


def asyncapi(protocols: Sequence[ClientProtocol], *, token_in_query: bool) -> Json:
    """The document, as JSON has it."""
    parts = [_Channel(protocol, protocols) for protocol in protocols]
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

    def __init__(self, protocol: ClientProtocol, all_: Iterable[ClientProtocol]) -> None:
        self.name = protocol.name
        self.schemas = Schemas(protocol.name)
        self.operations: Json = {}
        self._protocol = protocol
        self._beside = [v for v in all_ if v.namespace == protocol.namespace and v is not protocol]
        self._messages: Json = {}
        self._add_message(REFUSAL, "Refused", self.schemas.of_form(protocol.refusal))
        for event, inbound in protocol.inbound.items():
            self._receive(event, inbound)
        for event, told in _by_event(protocol).items():
            self._send(event, told)

    def described(self) -> Json:
        """The channel; its key is the vocabulary's name, its address the namespace."""
        names = {"name": self.name, "namespace": self._protocol.namespace}
        others = ", ".join(f"`{v.name}`" for v in self._beside)
        more = texts.BESIDE.format(others=others) if others else texts.ALONE.format(**names)
        return {
            "address": self._protocol.namespace,
            "title": self.name,
            "description": f"{texts.CHANNEL.format(**names)} {more}",
            "servers": [{"$ref": "#/servers/gateway"}],
            "messages": self._messages,
            "bindings": {"ws": _HANDSHAKE},
        }

    def _receive(self, event: str, inbound: InboundEvent) -> None:
        about = getdoc(type(inbound.schema)) or ""
        if inbound.reply is not None:
            about += f" The result is told by `{inbound.reply.event}` too."
        said = self._add_message(
            f"client.{event}", event, self.schemas.of_payload(inbound.schema), name=event
        )
        done = self._add_message(f"done.{event}", f"{event} is done", self.schemas.of_form(inbound.answer))
        self._operate(
            "receive",
            event,
            about,
            said,
            reply={"channel": self._ref, "messages": [done, self._message(REFUSAL)]},
        )

    def _send(self, event: str, told: Sequence[tuple[str, OutboundEvent | DirectEvent]]) -> None:
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


def _by_event(protocol: ClientProtocol) -> dict[str, list[tuple[str, OutboundEvent | DirectEvent]]]:
    """What is said, by the event's name, with when and to whom."""
    told: list[tuple[str, OutboundEvent | DirectEvent]] = [
        (texts.GREETING, direct) for direct in protocol.on_connect
    ]
    for event, inbound in protocol.inbound.items():
        if inbound.reply is not None:
            told.append((texts.ECHO.format(event=event), inbound.reply))
    told += [(_about(outbound), outbound) for outbound in protocol.outbound]
    found: dict[str, list[tuple[str, OutboundEvent | DirectEvent]]] = {}
    for about, each in told:
        found.setdefault(each.event, []).append((about, each))
    return found


def _about(outbound: OutboundEvent) -> str:
    sentences = [
        texts.WHEN.get(outbound.of) or getdoc(outbound.of) or "",
        texts.TO.format(whom=_whom(outbound.room)),
    ]
    if outbound.except_user is not None:
        sentences.append(texts.EXCEPT_USER)
    if outbound.except_room is not None:
        sentences.append(texts.EXCEPT_ROOM.format(whom=_whom(outbound.except_room)))
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
