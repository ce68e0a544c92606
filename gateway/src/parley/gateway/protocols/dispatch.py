"""Which vocabulary a socket speaks, where several share a namespace: its own words tell."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from marshmallow import ValidationError

from parley.gateway.core.errors import ChatError, Invalid, UnknownEvent
from parley.gateway.protocols.protocol import ClientProtocol, InboundEvent, Payload, fields_of

Protocols = tuple[ClientProtocol, ...]


class Resolved(NamedTuple):
    """The vocabularies that a word is good in, and what it is in the first of them."""

    by: Protocols
    inbound: InboundEvent
    payload: Payload


class Unresolved(Exception):
    """No vocabulary takes the word; `by` is the one that came nearest, `error` what it says."""

    def __init__(self, by: ClientProtocol, error: ChatError) -> None:
        super().__init__(error.message)
        self.by = by
        self.error = error


def resolve(protocols: Protocols, event: Any, args: Sequence[Any]) -> Resolved:
    """What an event with its payload is in the vocabularies that a socket may speak.

    A word that is good in one only decides for it; one that is good in several decides nothing.

    Raises:
        Misunderstood: it is good in none.
    """
    knowing = [v for v in protocols if isinstance(event, str) and event in v.inbound]
    if not knowing:
        raise Unresolved(protocols[0], UnknownEvent(f"There is no event {str(event)[:50]!r}."))
    payload = args[0] if args and args[0] is not None else {}
    if len(args) > 1 or not isinstance(payload, dict):
        raise Unresolved(knowing[0], Invalid("The payload must be one object."))
    return _taken(knowing, event, payload)


def _taken(knowing: Sequence[ClientProtocol], event: str, payload: Payload) -> Resolved:
    loaded: dict[str, Payload] = {}
    wrong: list[tuple[ClientProtocol, Payload]] = []
    for protocol in knowing:
        try:
            loaded[protocol.name] = protocol.inbound[event].schema.load(payload)
        except ValidationError as error:
            # Its frames hold the error itself, and all that was at work, until the garbage collector comes.
            wrong.append((protocol, fields_of(error.with_traceback(None))))
    if not loaded:
        nearest, reasons = min(wrong, key=lambda pair: len(pair[1]))
        raise Unresolved(nearest, Invalid.fields(reasons))
    by = tuple(v for v in knowing if v.name in loaded)
    return Resolved(by, by[0].inbound[event], loaded[by[0].name])
