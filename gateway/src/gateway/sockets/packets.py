"""Socket.IO packets from clients who may send anything."""

from typing import Any

from socketio import packet

from gateway.sockets import json


class Malformed(str):
    """Stands in the place of an event's name when its JSON could not be read."""


class ClientPacket(packet.Packet):  # type: ignore[misc]
    """A packet whose unreadable JSON becomes an event that can be refused by acknowledgement."""

    json = json

    def decode(self, encoded_packet: Any) -> Any:
        try:
            return super().decode(encoded_packet)
        except ValueError:
            if self.packet_type != packet.EVENT or self.id is None:
                raise
            self.data = [Malformed()]
            return 0
