"""Events are encoded, and clients' packets decoded, as python-socketio does it."""

from typing import Any

import pytest
from socketio import packet
from wsproto.frame_protocol import FrameProtocol

from parley.gateway.transport import json
from parley.gateway.transport.packets import (
    ClientPacket,
    EncodedEvents,
    EncodedPacket,
    MalformedPacket,
    ack_message,
    event_message,
    event_start,
)

PAYLOADS = [{"content": 'ü "quoted" \u2028', "seq": 5, "at": None, "list": [True, 1.5]}, [], "text", None]


def of_the_library(kind: int, namespace: str, number: int | None, data: list[Any]) -> str:
    stock = packet.Packet(kind, data, namespace, number)
    stock.json = json
    return f"4{stock.encode()}"


@pytest.mark.parametrize("namespace", ["/", "/chat"])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_an_event_is_encoded_as_the_library_encodes_it(namespace: str, payload: Any) -> None:
    message = event_message(event_start(namespace, "newMessage"), payload)

    assert message.decode() == of_the_library(packet.EVENT, namespace, None, ["newMessage", payload])


@pytest.mark.parametrize("namespace", ["/", "/chat"])
@pytest.mark.parametrize("arguments", [[], [{"success": True}], ["ü", 2]])
def test_an_acknowledgement_is_encoded_as_the_library_encodes_it(namespace: str, arguments: Any) -> None:
    message = ack_message(namespace, 12, json.encode(arguments))

    assert message.decode() == of_the_library(packet.ACK, namespace, 12, arguments)


def test_frames_and_polled_packets_have_the_same_messages() -> None:
    messages = [b'42/chat,["a"]', f'42["{"ü" * 40_000}"]'.encode()]
    encoded = EncodedEvents(*messages)
    reader = FrameProtocol(client=True, extensions=[])
    reader.receive_bytes(encoded.frames)

    assert [str(each.payload) for each in reader.received_frames()] == [m.decode() for m in messages]
    assert [each.encode().encode() for each in encoded.packets()] == messages


def test_binary_data_is_encoded_as_attachments() -> None:
    encoded = EncodedPacket(ClientPacket(packet.EVENT, ["file", {"body": b"\x00\xff"}], "/chat"))

    text, attachment = encoded.packets()
    assert text.encode() == '451-/chat,["file",{"body":{"_placeholder":true,"num":0}}]'
    assert attachment.encode() == b"\x00\xff"


def test_a_value_without_a_form_in_json_is_an_error() -> None:
    with pytest.raises(TypeError):
        ClientPacket(packet.EVENT, ["file", object()]).encode()
    with pytest.raises(TypeError):
        ClientPacket(packet.CONNECT_ERROR, {"body": b""}).encode()


@pytest.mark.parametrize(
    "text",
    [
        '2["a",{"b":1}]',
        '2/chat,["a"]',
        '2/chat,7["a",{"b":"[c,d]"}]',
        '20["a"]',
        '2/,5["a"]',
        '2/chat?x=1,5["a"]',
        '2/chat["a,["b"]',
        "2/chat,5",
        "2/chat",
        '212["a-b"]',
        '2/a-b,1["c-d"]',
        "2" + "9" * 40 + "[]",
        "2" + "9" * 15 + "[]",
        '51-/chat,1["a",{"_placeholder":true,"num":0}]',
        '3/chat,5["x"]',
        "0/chat,{}",
        "1/chat,",
    ],
)
def test_a_packet_is_decoded_as_the_library_decodes_it(text: str) -> None:
    ours = ClientPacket(encoded_packet=text)
    stock = packet.Packet(encoded_packet=text)

    def of(each: packet.Packet) -> tuple[Any, ...]:
        return each.packet_type, each.namespace, each.id, each.data, each.attachment_count

    assert of(ours) == of(stock)


@pytest.mark.parametrize(
    ("text", "number"), [('2/chat,7["a",', 7), ("2[", None), ('2/chat,["\\ud83c"]', None), ("21[NaN]", 1)]
)
def test_an_event_that_is_no_json_has_the_reason_as_its_name(text: str, number: int | None) -> None:
    decoded = ClientPacket(encoded_packet=text)

    assert isinstance(decoded.data[0], MalformedPacket)
    assert decoded.id == number


@pytest.mark.parametrize(
    ("binary", "plain"), [('50-/chat,7["a",{}]', '2/chat,7["a",{}]'), ("60-3[1]", "33[1]")]
)
def test_a_binary_packet_without_attachments_is_a_plain_one(binary: str, plain: str) -> None:
    ours, other = (ClientPacket(encoded_packet=text) for text in (binary, plain))

    assert (ours.packet_type, ours.namespace, ours.id, ours.data, ours.attachment_count) == (
        *(other.packet_type, other.namespace, other.id, other.data),
        0,
    )
