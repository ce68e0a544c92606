"""Socket.IO packets: strict decoding of clients' packets, and encoding for the engine."""

import base64
import re
from typing import Any

from engineio import packet as eio
from socketio import packet

from parley.gateway.transport import json

ARRAY_OF_EVENT = re.compile(rf"{packet.EVENT}(?:/[^,]*,)?\d*\[")
"""Matches an event whose array begins: https://socket.io/docs/v4/socket-io-protocol/#packet-encoding."""

PACKET_TYPES = {str(kind): kind for kind in range(eio.NOOP + 1)}


class MalformedPacket(str):
    """Replaces the name of an event that could not be decoded; its text is the reason."""


class ClientPacket(packet.Packet):  # type: ignore[misc]
    """A packet that never raises for an event which can be refused.

    Such an event, one with an array that is no JSON, gets a `MalformedPacket` as its name. Everything else
    that cannot be decoded raises ValueError, which closes the connection.
    """

    json = json

    def decode(self, encoded_packet: Any) -> Any:
        """Decode the text of a packet; returns the number of binary attachments to come."""
        if not isinstance(encoded_packet, str):
            raise ValueError("a binary attachment without its packet")
        try:
            return super().decode(encoded_packet)
        except ValueError:
            is_event = self.packet_type == packet.EVENT
            if not is_event or (self.id is None and not ARRAY_OF_EVENT.match(encoded_packet)):
                raise
            self.data = [MalformedPacket("The packet is not valid JSON.")]
            return 0

    def add_attachment(self, attachment: Any) -> bool:
        """Count an attachment without keeping it, for no event takes binary data.

        Returns:
            Whether it was the last one; the packet is complete then.
        """
        if not isinstance(attachment, bytes):
            raise ValueError("a text packet in place of a binary attachment")
        self.attachment_count -= 1
        if self.attachment_count > 0:
            return False
        self.data = [MalformedPacket("Binary data is not supported.")]
        return True


def engine_packet(encoded: str | bytes) -> eio.Packet:
    """Decode an Engine.IO packet, and leave the text of a message to `ClientPacket`.

    Raises:
        ValueError: There is no such packet.
    """
    if not isinstance(encoded, str):
        return eio.Packet(eio.MESSAGE, bytes(encoded))
    kind = encoded[:1]
    if kind == "b":
        return eio.Packet(eio.MESSAGE, base64.b64decode(encoded[1:]))
    if kind not in PACKET_TYPES:
        raise ValueError("There is no such packet type.")
    return eio.Packet(PACKET_TYPES[kind], encoded[1:])


def engine_packets(encodable: packet.Packet) -> list[eio.Packet]:
    """Encode a Socket.IO packet as Engine.IO packets: one, and one more per binary attachment."""
    encoded = encodable.encode()
    parts = encoded if isinstance(encoded, list) else [encoded]
    return [eio.Packet(eio.MESSAGE, part) for part in parts]
