"""Writes the answers to clients' events: acknowledgements, and the `exception` event."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from socketio import packet

from parley.gateway.core.errors import Overloaded, Unavailable
from parley.gateway.protocols.error_payloads import EXCEPTION
from parley.gateway.state.shared_futures import SharedFutures
from parley.gateway.transport import json
from parley.gateway.transport.answers import ClientEvent, DeferredAck, EncodedAck, Refusal
from parley.gateway.transport.packets import EncodedPacket, ack_message

TRANSIENT = (Overloaded, Unavailable)
"""The errors with which a node refuses whatever clients send, until it has recovered."""

log = structlog.get_logger()


class AnswerWriter:
    """Writes answers, those that are deferred as soon as their futures are done.

    Args:
        packet_class: encodes answers with binary data.
    """

    def __init__(self, packet_class: type[packet.Packet]) -> None:
        self._packet_class = packet_class
        self._deferred: SharedFutures[tuple[ClientEvent, DeferredAck]] = SharedFutures(self._on_confirmed)

    def answer(self, event: ClientEvent, answer: Any) -> None:
        """Acknowledge an event; without an acknowledgement only a refusal is reported."""
        if isinstance(answer, Refusal) and isinstance(answer.error, TRANSIENT):
            event.session.delay_reading()
        if isinstance(answer, DeferredAck):
            self._answer_later(event, answer)
        elif event.id is not None:
            self._acknowledge(event, answer.ack if isinstance(answer, Refusal) else answer)
        elif isinstance(answer, Refusal):
            self._send(event, packet.EVENT, [EXCEPTION.event, EXCEPTION.payload(event.refused(answer.error))])

    def _answer_later(self, event: ClientEvent, later: DeferredAck) -> None:
        event.session.unanswered += 1
        self._deferred.add(later.confirmed, (event, later))

    def _on_confirmed(
        self, _confirmed: "asyncio.Future[None]", answers: Sequence[tuple[ClientEvent, DeferredAck]]
    ) -> None:
        for event, later in answers:
            event.session.unanswered -= 1
            try:
                self.answer(event, later.result())
            except Exception:
                log.exception("gateway.socket.message_failed")

    def _acknowledge(self, event: ClientEvent, ack: Any) -> None:
        arguments = list(ack) if isinstance(ack, tuple) else [ack]
        try:
            encoded = ack.arguments if isinstance(ack, EncodedAck) else json.encode(arguments)
        except TypeError:
            # JSON has no form for binary data.
            self._send(event, packet.ACK, arguments)
            return
        if not event.session.closed:
            event.session.write_message(ack_message(event.namespace, event.id, encoded))

    def _send(self, event: ClientEvent, packet_type: int, data: list[Any]) -> None:
        if not event.session.closed:
            sent = self._packet_class(packet_type, namespace=event.namespace, id=event.id, data=data)
            event.session.write(EncodedPacket(sent))
