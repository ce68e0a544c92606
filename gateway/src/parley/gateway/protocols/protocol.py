"""What a vocabulary is: what it hears, what it says, what it serves by REST, how it refuses."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import Schema, ValidationError

from parley.gateway.core.commands import Command
from parley.gateway.core.results import ConversationView
from parley.gateway.protocols.serializer import ToPayload
from parley.shared import rooms

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DirectEvent:
    """An event for one socket: once for the value, or for each of the things that it comes to."""

    event: str
    payload: ToPayload
    each: Callable[[Any], Iterable[Any]] = lambda value: (value,)


@dataclass(frozen=True, slots=True)
class InboundEvent:
    """An event that clients may send: its payload's shape, the command it is, the acknowledgement."""

    schema: Schema
    command: Callable[[Payload], Command]
    answer: ToPayload
    reply: DirectEvent | None = None
    """An event that brings the asking socket the result too, for clients that wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A REST path: the schema takes path, query and body together, body last.

    `then` is asked when the command is done, and answers instead of it.
    """

    method: str
    path: str
    schema: Schema
    command: Callable[[Payload], Command]
    answer: ToPayload
    status: int = 200
    body: bool = False
    then: Callable[[Payload], Command] | None = None
    doc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundEvent:
    """An event for the sockets of a room, when this has happened; without some of them."""

    event: str
    of: type
    payload: ToPayload
    room: Callable[[Any], str]
    except_user: Callable[[Any], str] | None = None
    except_room: Callable[[Any], str] | None = None
    when: Callable[[Any], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class UnreadChanged:
    """A user's unread count changed: of a conversation, and in total. Known to their node only."""

    user_id: str
    conversation_id: str
    unread: int
    total: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """A local user has come into a conversation."""

    user_id: str
    view: ConversationView


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ClientProtocol:
    """One guide's words on one Socket.IO namespace, and its REST paths."""

    name: str
    namespace: str
    inbound: Mapping[str, InboundEvent]
    outbound: tuple[OutboundEvent, ...]
    refusal: ToPayload
    on_connect: tuple[DirectEvent, ...] = ()
    routes: tuple[Route, ...] = ()
    outbound_of: Mapping[type, tuple[OutboundEvent, ...]] = field(init=False)

    def __post_init__(self) -> None:
        by_type: dict[type, tuple[OutboundEvent, ...]] = {}
        for outbound in self.outbound:
            by_type[outbound.of] = (*by_type.get(outbound.of, ()), outbound)
        object.__setattr__(self, "outbound_of", by_type)

    def __repr__(self) -> str:
        return f"Vocabulary({self.name!r})"


def joined(event: Any) -> str:
    """The sockets that joined the conversation of an event."""
    return rooms.joined(event.conversation_id)


def members(event: Any) -> str:
    """All sockets of the members of an event's conversation."""
    return rooms.conversation(event.conversation_id)


def user(event: Any) -> str:
    """All sockets of the user of an event."""
    return rooms.user(event.user_id)


def contacts(event: Any) -> str:
    """The sockets of those who are told when the user comes and goes."""
    return rooms.presence(event.user_id)


def fields_of(error: ValidationError) -> Payload:
    """What is wrong, as a map from the payload's field names to reasons."""
    messages = error.messages
    return _by_name(messages) if isinstance(messages, dict) else {"payload": messages}


def _by_name(reasons: Any) -> Any:
    """The places in a list are numbers, which JSON does not take for names."""
    if not isinstance(reasons, dict):
        return reasons
    return {str(name): _by_name(inner) for name, inner in reasons.items()}
