"""Socket.IO packets from clients who may send anything."""

from typing import Any

from socketio import packet

from parley.gateway.transport import json


class MalformedPacket(str):
    """Stands in the place of an event's name, and says why the event could not be read."""


class ClientPacket(packet.Packet):  # type: ignore[misc]
    """A packet whose unreadable content becomes an event that can be refused by acknowledgement.

    One that cannot even be answered raises ValueError.
    """

    json = json

    def decode(self, encoded_packet: Any) -> Any:
        if not isinstance(encoded_packet, str):
            raise ValueError("an attachment of nothing")
        try:
            return super().decode(encoded_packet)
        except ValueError:
            if self.packet_type != packet.EVENT or self.id is None:
                raise
            self.data = [MalformedPacket("The packet is not valid JSON.")]
            return 0

    def add_attachment(self, attachment: Any) -> bool:
        """Count an attachment and keep none, for nothing that clients may say is binary."""
        if not isinstance(attachment, bytes):
            raise ValueError("a text in the place of an attachment")
        self.attachment_count -= 1
        if self.attachment_count > 0:
            return False
        self.data = [MalformedPacket("Binary data is not understood.")]
        return True
