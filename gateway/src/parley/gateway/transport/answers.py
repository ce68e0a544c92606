"""Answers to clients' events: acknowledgements, and the `exception` event where none was asked for."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from parley.gateway.core.errors import ChatError, Unavailable
from parley.gateway.protocols.error_payloads import RefusedEvent
from parley.gateway.transport.engine_session import EngineSession

NAME_LIMIT = 100
"""Characters of a client's text that the `exception` event returns."""


@dataclass(frozen=True, slots=True)
class EncodedAck:
    """An acknowledgement that was encoded before, once for many events: the JSON array of its arguments."""

    arguments: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to an event that was refused.

    Attributes:
        ack: The acknowledgement.
        error: The error, for the `exception` event.
    """

    ack: Any
    error: ChatError


@dataclass(frozen=True, slots=True)
class DeferredAck:
    """An acknowledgement that is sent when a future is done: `answer()`, or `refuse(error)`."""

    confirmed: "asyncio.Future[None]"
    answer: Callable[[], Any]
    refuse: Callable[[ChatError], Refusal]

    def result(self) -> Any:
        """Return the answer, now that the future is done."""
        if self.confirmed.cancelled():
            return self.refuse(Unavailable("The gateway is stopping. Retry."))
        error = self.confirmed.exception()
        if error is None:
            return self.answer()
        return self.refuse(error if isinstance(error, ChatError) else ChatError("Something went wrong."))


class ClientEvent(NamedTuple):
    """An event of a client, as far as its answer needs it.

    Attributes:
        session: The client's session.
        namespace: The namespace that the event was sent to.
        id: The number of the acknowledgement, None if the client asks for none.
        name: The event's name as received, of any type.
        args: The event's arguments as received.
    """

    session: EngineSession
    namespace: str
    id: int | None
    name: Any
    args: list[Any]

    def refused(self, error: ChatError) -> RefusedEvent:
        """Return what the `exception` event reports of this event."""
        payload = self.args[0] if self.args else None
        named = payload if isinstance(payload, Mapping) else {}
        # A `MalformedPacket` stands for the name of an event that could not be decoded.
        event = self.name[:NAME_LIMIT] if type(self.name) is str else None
        return RefusedEvent(error, event, _name(named.get("clientMessageId")), _name(named.get("tempId")))


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and len(value) <= NAME_LIMIT else None
