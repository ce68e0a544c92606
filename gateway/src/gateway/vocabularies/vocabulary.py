"""What a vocabulary is: what it hears, what it says, what it serves by REST, how it refuses."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import Schema, ValidationError

from gateway.core.commands import Command
from gateway.core.errors import ChatError
from gateway.core.results import ConversationView
from shared.model import Person

Payload = dict[str, Any]
Answer = Callable[[Any, Person], Payload]
"""(result of the command, asker) -> the acknowledgement or the response's body"""


@dataclass(frozen=True, slots=True)
class Hears:
    """An event that clients may send: its payload's shape, the command it is, the acknowledgement."""

    schema: Schema
    command: Callable[[Payload], Command]
    answer: Answer
    echoes: str | None = None
    """An event that brings the asking socket the result too, for clients that wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serves:
    """A REST path: the schema takes path, query and body together, body last."""

    method: str
    path: str
    schema: Schema
    command: Callable[[Payload], Command]
    answer: Answer
    status: int = 200
    body: bool = False


@dataclass(frozen=True, slots=True)
class Saying:
    """An event for the sockets of a room, without those of a user or of another room."""

    event: str
    payload: Any
    room: str
    except_user: str | None = None
    except_room: str | None = None


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


@dataclass(frozen=True, slots=True)
class Arrived:
    """A socket is connected: what is it greeted with?"""

    person: Person
    socket_id: str
    online: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """One guide's words on one Socket.IO namespace, and its REST paths."""

    name: str
    namespace: str
    hears: Mapping[str, Hears]
    says: Mapping[type, Callable[[Any], Iterable[Saying]]]
    refuses: Callable[[ChatError], Payload]
    greets: Callable[[Arrived], Iterable[tuple[str, Any]]]
    serves: tuple[Serves, ...] = field(default=())


def fields_of(error: ValidationError) -> Payload:
    """What is wrong, as a map from the payload's field names to reasons."""
    messages = error.messages
    return _by_name(messages) if isinstance(messages, dict) else {"payload": messages}


def _by_name(reasons: Any) -> Any:
    """The places in a list are numbers, which JSON does not take for names."""
    if not isinstance(reasons, dict):
        return reasons
    return {str(name): _by_name(inner) for name, inner in reasons.items()}
