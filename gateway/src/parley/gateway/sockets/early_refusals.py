"""Early refusals: an overloaded node refuses new messages before anything else is done with them."""

from collections.abc import Sequence
from typing import Any

from parley.gateway import gauges
from parley.gateway.core.errors import Overloaded
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.state.admission import AdmissionController
from parley.gateway.transport import json
from parley.gateway.transport.server import EncodedAck


class EarlyRefusals:
    """Refuses messages at a small part of a message's cost, because an overload consists mostly of them."""

    def __init__(self, admission: AdmissionController) -> None:
        self._admission = admission
        self._encoded: dict[tuple[str, float | None], EncodedAck] = {}

    def of(self, protocols: Sequence[ClientProtocol], event: Any, args: Sequence[Any]) -> EncodedAck | None:
        """Return the refusal of an event that sends a message which cannot be admitted now, else None.

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

    def _refusal(self, protocol: ClientProtocol, conversation_id: Any) -> EncodedAck | None:
        if not isinstance(conversation_id, str | int):
            return None
        error = self._admission.refusal(str(conversation_id))
        return None if error is None else self._ack(protocol, error)

    def _ack(self, protocol: ClientProtocol, error: Overloaded) -> EncodedAck:
        gauges.count(error)
        key = protocol.name, error.retry_after
        ack = self._encoded.get(key)
        if ack is None:
            ack = self._encoded[key] = EncodedAck(json.dumps([protocol.refusal(error)]))
        return ack
