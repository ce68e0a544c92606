"""Early refusals: a node that is overloaded, or without its broker, refuses messages before all else."""

from collections.abc import Sequence
from typing import Any

from parley.gateway import gauges
from parley.gateway.core.errors import ChatError
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.state.admission import AdmissionController
from parley.gateway.transport import json
from parley.gateway.transport.answers import EncodedAck, Refusal


class EarlyRefusals:
    """Refuses messages at a small part of a message's cost, because an overload consists mostly of them.

    An edit or a deletion that does not name its conversation is refused later.
    """

    def __init__(self, admission: AdmissionController) -> None:
        self._admission = admission
        self._encoded: dict[tuple[str, str, float | None], Refusal] = {}

    def of(self, protocols: Sequence[ClientProtocol], event: Any, args: Sequence[Any]) -> Refusal | None:
        """Return the refusal of an event that sends or changes a message, if it cannot be admitted now.

        Args:
            protocols: The protocols that the socket may still use.
            event: The event's name as received, of any type.
            args: The event's arguments as received.
        """
        if not isinstance(event, str) or not args or not isinstance(args[0], dict):
            return None
        for protocol in protocols:
            inbound = protocol.inbound.get(event)
            if inbound is not None and inbound.message_to is not None:
                return self._refusal(protocol, args[0].get(inbound.message_to))
        return None

    def _refusal(self, protocol: ClientProtocol, conversation_id: Any) -> Refusal | None:
        if not isinstance(conversation_id, str | int):
            return None
        error = self._admission.refusal(str(conversation_id))
        return None if error is None else self._encode(protocol, error)

    def _encode(self, protocol: ClientProtocol, error: ChatError) -> Refusal:
        gauges.count(error)
        key = protocol.name, error.code, error.retry_after
        refusal = self._encoded.get(key)
        if refusal is None:
            ack = EncodedAck(json.encode([protocol.refusal(error)]))
            refusal = self._encoded[key] = Refusal(ack, error)
        return refusal
