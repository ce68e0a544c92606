"""Client protocols: tables of inbound events, outbound events and REST routes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import Schema
from msgspec import Struct

from parley.gateway.core.commands import Command
from parley.gateway.core.results import ConversationView
from parley.gateway.protocols.serializer import ToPayload
from parley.shared import rooms

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DirectEvent:
    """An event for one socket, outside of any room.

    Attributes:
        event: The event's name.
        payload: Makes the payload.
        split: Gives the values to send, one event each; by default the value itself.
    """

    event: str
    payload: ToPayload
    split: Callable[[Any], Iterable[Any]] = lambda value: (value,)


@dataclass(frozen=True, slots=True)
class InboundEvent:
    """An event that clients may send.

    Attributes:
        schema: Validates and loads the payload.
        command: Makes the core's command from the loaded payload.
        ack: Makes the acknowledgement from the command's result.
        reply: An event that also carries the result to the sending socket, for guides that expect one.
        message_to: In an event that sends or changes a message, the payload's field that names its
            conversation: an overloaded gateway refuses such events before it validates them.
    """

    schema: Schema
    command: Callable[[Payload], Command]
    ack: ToPayload
    reply: DirectEvent | None = None
    message_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A REST route.

    Attributes:
        method: The HTTP method.
        path: The path; names in braces are fields of the schema.
        schema: Loads the fields of the path and of the body (if `body`) or the query.
        command: Makes the core's command from the loaded fields.
        response: Makes the response's body from the result.
        status: The status of a successful response.
        body: Whether the request has a JSON body.
        idempotency: The body's field that the header `Idempotency-Key` stands for, if the body lacks it.
        then: Makes a second command, a read; its result is the response's.
        doc: One sentence for the OpenAPI document.
    """

    method: str
    path: str
    schema: Schema
    command: Callable[[Payload], Command]
    response: ToPayload
    status: int = 200
    body: bool = False
    idempotency: str | None = None
    then: Callable[[Payload], Command] | None = None
    doc: str = ""


def always(_event: Any) -> bool:
    """Tell that every trigger causes an event."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundEvent:
    """An event that the gateway emits to a room when something has happened.

    Attributes:
        event: The event's name.
        trigger: The type whose instances cause this event: one of `parley.shared.events`, `UnreadChanged` or
            `Admitted`.
        payload: Makes the payload from the trigger.
        room: Gives the room to emit to.
        except_user: Gives a user whose sockets are left out.
        except_room: Gives a room whose sockets are left out.
        when: Tells whether this trigger causes the event.
    """

    event: str
    trigger: type
    payload: ToPayload
    room: Callable[[Any], str]
    except_user: Callable[[Any], str] | None = None
    except_room: Callable[[Any], str] | None = None
    when: Callable[[Any], bool] = always


class UnreadChanged(Struct, frozen=True):
    """A user's unread counts have changed: of one conversation, and in total. Known to this gateway only."""

    user_id: str
    conversation_id: str
    unread: int
    total: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """A user with sockets at this gateway has become a member of a conversation."""

    user_id: str
    view: ConversationView


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ClientProtocol:
    """One guide's events on one Socket.IO namespace, and its REST routes.

    Attributes:
        name: The name in documents and logs.
        namespace: The Socket.IO namespace; several protocols may share one.
        inbound: Events that clients may send, by name.
        outbound: Events that the gateway emits.
        refusal: Makes an error payload from a `ChatError`.
        on_connect: Events for a socket that has connected, made from the `Introduction`.
        routes: REST routes.
        outbound_by_trigger: `outbound`, grouped by the type of their trigger.
    """

    name: str
    namespace: str
    inbound: Mapping[str, InboundEvent]
    outbound: tuple[OutboundEvent, ...]
    refusal: ToPayload
    on_connect: tuple[DirectEvent, ...] = ()
    routes: tuple[Route, ...] = ()
    outbound_by_trigger: Mapping[type, tuple[OutboundEvent, ...]] = field(init=False)

    def __post_init__(self) -> None:
        by_trigger: dict[type, tuple[OutboundEvent, ...]] = {}
        for outbound in self.outbound:
            by_trigger[outbound.trigger] = (*by_trigger.get(outbound.trigger, ()), outbound)
        object.__setattr__(self, "outbound_by_trigger", by_trigger)

    def __repr__(self) -> str:
        return f"ClientProtocol({self.name!r})"


# The AsyncAPI document quotes these docstrings after *Return the room of*, as in *Sent to the sockets …*.


def joined_room(event: Any) -> str:
    """Return the room of the sockets that have joined the conversation."""
    return rooms.joined(event.conversation_id)


def members_room(event: Any) -> str:
    """Return the room of all sockets of the conversation's members."""
    return rooms.conversation(event.conversation_id)


def user_room(event: Any) -> str:
    """Return the room of all sockets of the user."""
    return rooms.user(event.user_id)


def presence_room(event: Any) -> str:
    """Return the room of the sockets of users who share a conversation with the user."""
    return rooms.presence(event.user_id)
