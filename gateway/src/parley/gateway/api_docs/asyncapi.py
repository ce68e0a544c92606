"""Generate the AsyncAPI 3 document of all Socket.IO events from the protocols' tables.

Operations are named from the gateway's side: it receives what clients emit, and sends what they receive.
"""

from collections.abc import Callable, Iterable, Sequence
from inspect import getdoc
from typing import Any

from parley.gateway.api_docs import texts
from parley.gateway.api_docs.schemas import Json, Schemas
from parley.gateway.protocols.error_payloads import EXCEPTION
from parley.gateway.protocols.protocol import ClientProtocol, DirectEvent, InboundEvent, OutboundEvent

ASYNCAPI = "3.0.0"
REFUSAL = "refusal"


def asyncapi(protocols: Sequence[ClientProtocol], *, token_in_query: bool) -> Json:
    """Build the document as a JSON value.

    Args:
        protocols: The protocols to describe.
        token_in_query: Whether `?token=` is accepted.
    """
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
    """A protocol's channel, with its messages and operations."""

    def __init__(self, protocol: ClientProtocol, all_: Iterable[ClientProtocol]) -> None:
        self.name = protocol.name
        self.schemas = Schemas(protocol.name)
        self.operations: Json = {}
        self._protocol = protocol
        self._beside = [p for p in all_ if p.namespace == protocol.namespace and p is not protocol]
        self._messages: Json = {}
        self._add_message(REFUSAL, "Refused", self.schemas.of_output(protocol.refusal))
        for event, inbound in protocol.inbound.items():
            self._receive(event, inbound)
        for event, sent in _sent_by_event(protocol).items():
            self._send(event, sent)

    def described(self) -> Json:
        """Build the channel: its key is the protocol's name, its address the namespace."""
        names = {"name": self.name, "namespace": self._protocol.namespace}
        others = ", ".join(f"`{p.name}`" for p in self._beside)
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
            about += " " + texts.ALSO_SENT_AS.format(event=inbound.reply.event)
        request = self._add_message(
            f"client.{event}", event, self.schemas.of_event(inbound.schema), name=event
        )
        done = self._add_message(f"done.{event}", f"{event} is done", self.schemas.of_output(inbound.ack))
        self._operate(
            "receive",
            event,
            about,
            request,
            reply={"channel": self._ref, "messages": [done, self._message(REFUSAL)]},
        )

    def _send(self, event: str, sent: Sequence[tuple[str, OutboundEvent | DirectEvent]]) -> None:
        payloads: list[Json] = []
        for _, each in sent:
            payload = self.schemas.of_output(each.payload)
            if payload not in payloads:
                payloads.append(payload)
        payload = payloads[0] if len(payloads) == 1 else {"anyOf": payloads}
        about = " ".join(dict.fromkeys(about for about, _ in sent))
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


def _sent_by_event(protocol: ClientProtocol) -> dict[str, list[tuple[str, OutboundEvent | DirectEvent]]]:
    """Collect all that the gateway sends, by the event's name, each with its description."""
    sent: list[tuple[str, OutboundEvent | DirectEvent]] = [
        (texts.ON_CONNECT, direct) for direct in protocol.on_connect
    ]
    for event, inbound in protocol.inbound.items():
        if inbound.reply is not None:
            sent.append((texts.REPLY.format(event=event), inbound.reply))
    sent += [(_about(outbound), outbound) for outbound in protocol.outbound]
    sent.append((texts.EXCEPTION, EXCEPTION))
    found: dict[str, list[tuple[str, OutboundEvent | DirectEvent]]] = {}
    for about, each in sent:
        found.setdefault(each.event, []).append((about, each))
    return found


def _about(outbound: OutboundEvent) -> str:
    sentences = [
        texts.WHEN.get(outbound.trigger) or getdoc(outbound.trigger) or "",
        texts.SENT_TO.format(sockets=_sockets(outbound.room)),
    ]
    if outbound.except_user is not None:
        sentences.append(texts.EXCEPT_USER)
    if outbound.except_room is not None:
        sentences.append(texts.EXCEPT_ROOM.format(sockets=_sockets(outbound.except_room)))
    return " ".join(sentences)


def _sockets(room: Callable[[Any], str]) -> str:
    """Name a room's sockets by the docstring of its function; ends with a full stop."""
    _, quoted, sockets = (getdoc(room) or "").partition(texts.ROOM_OF)
    return sockets if quoted else texts.SOME_SOCKETS


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
        "variables": {
            "host": {"default": "localhost:8080", "description": "The host that serves this document."}
        },
        "protocol": "ws",
        "protocolVersion": "13",
        "pathname": "/socket.io/",
        "title": "Socket.IO 5 over Engine.IO 4",
        "description": "By WebSocket or long polling; any Socket.IO client since version 3.",
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in schemes],
    }


def _security_schemes(token_in_query: bool) -> Json:
    auth = {"type": "apiKey", "in": "password", "description": texts.TOKEN_IN_AUTH}
    bearer = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": texts.TOKEN}
    token = {"type": "httpApiKey", "in": "query", "name": "token", "description": texts.TOKEN_IN_QUERY}
    return {"auth": auth, "bearer": bearer, **({"token": token} if token_in_query else {})}
