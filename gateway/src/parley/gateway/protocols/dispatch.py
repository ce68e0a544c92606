"""Resolve an inbound Socket.IO event to the client protocols that accept it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from parley.gateway.core.errors import ChatError, Invalid, UnknownEvent
from parley.gateway.protocols.payloads import load
from parley.gateway.protocols.protocol import ClientProtocol, InboundEvent, Payload

Protocols = tuple[ClientProtocol, ...]

SHOWN = 50
"""Characters of an event's name that errors and logs show."""


class Resolved(NamedTuple):
    """The protocols that accept an event, and its table entry and loaded payload in the first of them."""

    protocols: Protocols
    inbound: InboundEvent
    payload: Payload


class Unresolved(Exception):
    """No protocol accepts the event.

    Attributes:
        protocol: The protocol whose schema found the fewest errors; it formats the error payload.
        error: The error to send.
    """

    def __init__(self, protocol: ClientProtocol, error: ChatError) -> None:
        super().__init__(error.message)
        self.protocol = protocol
        self.error = error


def resolve(protocols: Protocols, event: Any, args: Sequence[Any]) -> Resolved:
    """Find the protocols that accept an event with its payload.

    Args:
        protocols: The protocols that the socket may still use.
        event: The event's name as received, of any type.
        args: The event's arguments as received: none, or one object. Further ones may only be `null`, which
            JavaScript's client writes for a callback that is `undefined`.

    Returns:
        The accepting protocols in the order given. With a single one the socket's protocol is decided; with
        several it stays open.

    Raises:
        Unresolved: no protocol has the event, or none accepts the payload.
    """
    candidates = [p for p in protocols if isinstance(event, str) and event in p.inbound]
    if not candidates:
        raise Unresolved(protocols[0], UnknownEvent(f"There is no event {shown(event)!r}."))
    payload = args[0] if args and args[0] is not None else {}
    if not isinstance(payload, dict) or any(each is not None for each in args[1:]):
        raise Unresolved(candidates[0], Invalid("The payload must be one object."))
    return _load(candidates, event, payload)


def shown(event: Any) -> str:
    """Return as much of an event's name, of any type, as errors and logs show."""
    return event[:SHOWN] if isinstance(event, str) else type(event).__name__


def _load_one(protocol: ClientProtocol, event: str, payload: Payload) -> Resolved:
    inbound = protocol.inbound[event]
    try:
        return Resolved((protocol,), inbound, load(inbound.schema, payload))
    except Invalid as error:
        raise Unresolved(protocol, error.with_traceback(None)) from None


def _load(candidates: Sequence[ClientProtocol], event: str, payload: Payload) -> Resolved:
    if len(candidates) == 1:
        return _load_one(candidates[0], event, payload)
    loaded: dict[str, Payload] = {}
    failures: list[tuple[ClientProtocol, Invalid]] = []
    for protocol in candidates:
        try:
            loaded[protocol.name] = load(protocol.inbound[event].schema, payload)
        except Invalid as error:
            # Its traceback would keep the payload alive, in a cycle by this frame.
            failures.append((protocol, error.with_traceback(None)))
    if not loaded:
        raise Unresolved(*min(failures, key=lambda failure: len(failure[1].details or ())))
    accepting = tuple(p for p in candidates if p.name in loaded)
    return Resolved(accepting, accepting[0].inbound[event], loaded[accepting[0].name])
