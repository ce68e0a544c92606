"""Socket.IO packets: strict decoding of clients' packets, and encoding for the engine."""

import base64
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from engineio import packet as eio
from socketio import packet

from parley.gateway.transport import json
from parley.gateway.transport.frame_writer import frame, text_frame

ARRAY_OF_EVENT = re.compile(rf"{packet.EVENT}(?:/[^,]*,)?\d*\[")
"""Matches an event whose array begins: https://socket.io/docs/v4/socket-io-protocol/#packet-encoding."""

PLAIN_EVENT = re.compile(rf"{packet.EVENT}(?:(/[^,?]*),)?([0-9]{{1,15}})?(?=\[)")
"""Matches an event without attachments, up to its array; python-socketio decodes what is not of this form."""
BINARY_TYPES = {packet.EVENT: packet.BINARY_EVENT, packet.ACK: packet.BINARY_ACK}
PLAIN_TYPES = {binary: plain for plain, binary in BINARY_TYPES.items()}

NOT_JSON = "The packet is not valid JSON."

PACKET_TYPES = {str(kind): kind for kind in range(eio.NOOP + 1)}


class MalformedPacket(str):
    """Replaces the name of an event that could not be decoded; its text is the reason."""


class PlainEvent(NamedTuple):
    """A client's event without attachments.

    Attributes:
        namespace: The namespace that it was sent to, None if it names none.
        id: The number of the acknowledgement, None if the client asks for none.
        data: The event's name and arguments.
    """

    namespace: str | None
    id: int | None
    data: list[Any]


def plain_event(text: str) -> PlainEvent | None:
    """Decode an event without attachments; returns None for any other packet of Socket.IO.

    One that is no JSON gets a `MalformedPacket` as its name.
    """
    event = PLAIN_EVENT.match(text)
    if event is None:
        return None
    namespace, number = event.groups()
    try:
        data = json.loads(text[event.end() :])
    except ValueError:
        data = [MalformedPacket(NOT_JSON)]
    return PlainEvent(namespace, None if number is None else int(number), data)


class ClientPacket(packet.Packet):  # type: ignore[misc]
    """A packet that never raises for an event which can be refused.

    Such an event, one with an array that is no JSON, gets a `MalformedPacket` as its name. Everything else
    that cannot be decoded raises ValueError, which closes the connection.
    """

    json = json
    packet_type: int

    def __init__(
        self,
        packet_type: int = packet.EVENT,
        data: Any = None,
        namespace: str | None = None,
        id: int | None = None,
        binary: bool | None = None,
        encoded_packet: Any = None,
    ) -> None:
        super().__init__(packet_type, data, namespace, id, bool(binary), encoded_packet)

    def encode(self) -> Any:
        """Encode the packet: to a text, or to a list of a text and the binary attachments.

        JSON has no form for binary data, which is searched for only then.
        """
        try:
            return super().encode()
        except TypeError:
            if self.packet_type not in BINARY_TYPES:
                raise
            self.packet_type = BINARY_TYPES[self.packet_type]
            return super().encode()

    def decode(self, encoded_packet: Any) -> Any:
        """Decode the text of a packet; returns the number of binary attachments to come."""
        if not isinstance(encoded_packet, str):
            raise ValueError("a binary attachment without its packet")
        event = plain_event(encoded_packet)
        if event is not None:
            self.namespace, self.id, self.data = event
            return 0
        try:
            return self._decode_other(encoded_packet)
        except ValueError:
            is_event = self.packet_type == packet.EVENT
            if not is_event or (self.id is None and not ARRAY_OF_EVENT.match(encoded_packet)):
                raise
            self.data = [MalformedPacket(NOT_JSON)]
            return 0

    def _decode_other(self, encoded_packet: str) -> Any:
        attachments = super().decode(encoded_packet)
        if not attachments and self.packet_type in PLAIN_TYPES:
            # Some clients call a packet binary before they have searched it: nothing follows.
            self.packet_type = PLAIN_TYPES[self.packet_type]
        return attachments

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


class EncodedEvents:
    """Events, or acknowledgements, that were encoded once for all sockets that they go to.

    Attributes:
        frames: The websocket frames.
    """

    __slots__ = ("_messages", "frames")

    def __init__(self, *messages: bytes) -> None:
        self._messages = messages
        self.frames = text_frame(messages[0]) if len(messages) == 1 else b"".join(map(text_frame, messages))

    def packets(self) -> Sequence[eio.Packet]:
        """Return the Engine.IO packets, for a client that polls."""
        return [eio.Packet(eio.MESSAGE, message[1:].decode()) for message in self._messages]


class EncodedPacket:
    """A packet of any data, as `EncodedEvents` are; binary data too."""

    __slots__ = ("_packets", "frames")

    def __init__(self, encodable: packet.Packet) -> None:
        self._packets = engine_packets(encodable)
        self.frames = b"".join(frame(each.encode()) for each in self._packets)

    def packets(self) -> Sequence[eio.Packet]:
        """Return the Engine.IO packets, for a client that polls."""
        return self._packets


@cache
def event_start(namespace: str, event: str) -> bytes:
    """Return the Engine.IO message of an event of a protocol, up to its payload."""
    prefix = "" if namespace == "/" else f"{namespace},"
    return f"{eio.MESSAGE}{packet.EVENT}{prefix}[".encode() + json.encode(event) + b","


def event_message(start: bytes, payload: Any) -> bytes:
    """Return the Engine.IO message of an event; the payload holds no binary data, and is not searched for it.

    Raises:
        TypeError: JSON has no form for the payload.
    """
    return start + json.encode(payload) + b"]"


def ack_message(namespace: str, number: int | None, arguments: bytes) -> bytes:
    """Return the Engine.IO message of an acknowledgement with a JSON array of arguments."""
    prefix = "" if namespace == "/" else f"{namespace},"
    return f"{eio.MESSAGE}{packet.ACK}{prefix}{number}".encode() + arguments


def engine_packets(encodable: packet.Packet) -> list[eio.Packet]:
    """Encode a Socket.IO packet as Engine.IO packets: one, and one more per binary attachment."""
    encoded = encodable.encode()
    parts = encoded if isinstance(encoded, list) else [encoded]
    return [eio.Packet(eio.MESSAGE, part) for part in parts]
