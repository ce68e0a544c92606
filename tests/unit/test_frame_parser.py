"""The parser of clients' frames agrees with wsproto on every stream, and refuses what RFC 6455 forbids."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from clients.fuzz import fuzz
from parley.gateway.transport.frame_parser import (
    BINARY,
    CLOSE,
    CONTINUATION,
    INVALID_TEXT,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    FrameError,
    FrameParser,
    unmask,
)

LIMIT = 1 << 20
MASK = b"\x01\xfe\x80\x7f"
DATA = (TEXT, BINARY)

Event = tuple[int, str | bytes] | int
"""A message or a control frame, or the status of the error that ended the stream."""


@dataclass(frozen=True)
class Sent:
    """A client's frame, which need not be valid."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    reserved: int = 0
    mask: bytes | None = MASK
    length_bytes: int | None = None
    """Bytes of the extended length; by default as few as possible."""

    def encode(self) -> bytes:
        masked = bytes((self.fin << 7 | self.reserved << 4 | self.opcode,)) + self._length()
        if self.mask is None:
            return masked + self.payload
        return masked + self.mask + unmask(self.mask, self.payload)

    def _length(self) -> bytes:
        size, bit = len(self.payload), 0x80 if self.mask is not None else 0
        shortest = 0 if size < 126 else 2 if size < 1 << 16 else 8
        count = shortest if self.length_bytes is None else max(shortest, self.length_bytes)
        short = {0: size, 2: 126, 8: 127}[count]
        return bytes((bit | short,)) + size.to_bytes(count, "big") if count else bytes((bit | short,))


def parsed(pieces: Iterable[bytes], limit: int = LIMIT) -> Iterator[Event]:
    """Yield what the parser makes of a stream; fragments of messages to come are left out."""
    parser = FrameParser(limit)
    try:
        for piece in pieces:
            parser.feed(piece)
            while (received := parser.next()) is not None:
                if received[0] != CONTINUATION:
                    yield received
                if received[0] == CLOSE:
                    return
    except FrameError as error:
        yield error.code


def reference(pieces: Iterable[bytes]) -> Iterator[Event]:
    """Yield what wsproto makes of a stream."""
    server, parts = FrameProtocol(client=False, extensions=[]), []
    try:
        for piece in pieces:
            server.receive_bytes(piece)
            for frame in server.received_frames():
                if frame.opcode in (Opcode.PING, Opcode.PONG):
                    yield int(frame.opcode), bytes(frame.payload)
                elif frame.opcode is Opcode.CLOSE:
                    code, reason = frame.payload
                    yield CLOSE, b"" if code == 1005 else int(code).to_bytes(2, "big") + reason.encode()
                    return
                else:
                    parts.append(frame.payload)
                    if frame.message_finished:
                        empty = "" if frame.opcode is Opcode.TEXT else b""
                        yield int(frame.opcode), empty.join(parts)
                        parts = []
    except ParseFailed as error:
        yield int(error.code)


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut a stream into pieces."""
    bounds = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[start:end] for start, end in pairwise(bounds)]


PAYLOADS = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=60).map(str.encode),
    st.sampled_from((b"", b"\xc3", b"\xa4\xed\xa0\x80", b"\xf0\x9f\x98", b"\x80x", b"x" * 125, b"x" * 126)),
    st.sampled_from((65_535, 65_536)).map(lambda size: b"y" * size),
)
CLOSES = st.builds(
    lambda code, reason: code.to_bytes(2, "big") + reason,
    st.one_of(st.integers(0, 5_100), st.sampled_from((1000, 1001, 1005, 1006, 1012, 1014, 1015, 3000, 4999))),
    st.one_of(st.just(b""), st.binary(max_size=20)),
)
FRAMES = st.one_of(
    st.builds(Sent, st.sampled_from((CONTINUATION, *DATA)), PAYLOADS, fin=st.booleans()),
    st.builds(Sent, st.sampled_from((PING, PONG)), st.binary(max_size=125)),
    st.builds(Sent, st.just(CLOSE), CLOSES),
    st.builds(
        Sent,
        st.integers(0, 15),
        PAYLOADS,
        fin=st.booleans(),
        reserved=st.sampled_from((0, 0, 0, 1, 4, 7)),
        mask=st.one_of(st.none(), st.binary(min_size=4, max_size=4)),
        length_bytes=st.sampled_from((None, None, 2, 8)),
    ),
)


def messages() -> st.SearchStrategy[list[Sent]]:
    """Return valid messages in fragments, with control frames between them."""

    def fragments(opcode: int, payload: bytes, places: list[int], pings: list[bytes]) -> list[Sent]:
        parts = cut(payload, places) or [b""]
        sent = []
        for number, part in enumerate(parts):
            sent.append(Sent(opcode if number == 0 else CONTINUATION, part, fin=number == len(parts) - 1))
            sent += [Sent(PING, ping) for ping in pings[:1]]
        return sent

    return st.builds(
        fragments,
        st.sampled_from(DATA),
        st.text(max_size=200).map(str.encode),
        st.lists(st.integers(0, 200), max_size=4),
        st.lists(st.binary(max_size=20), max_size=1),
    )


@fuzz(200)
@given(
    st.lists(st.one_of(messages(), FRAMES.map(lambda frame: [frame])), max_size=8),
    st.lists(st.integers(0, 1 << 18), max_size=10),
)
def test_every_stream_is_read_as_wsproto_reads_it(sent: list[list[Sent]], places: list[int]) -> None:
    stream = b"".join(frame.encode() for several in sent for frame in several)

    assert list(parsed(cut(stream, places))) == list(reference([stream]))


@given(st.binary(min_size=4, max_size=4), st.binary(max_size=300))
def test_a_payload_is_unmasked_byte_by_byte(mask: bytes, payload: bytes) -> None:
    assert unmask(mask, payload) == bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))


def test_a_stream_that_comes_byte_by_byte_is_read() -> None:
    stream = b"".join(
        frame.encode()
        for frame in (
            Sent(TEXT, "grüße".encode(), fin=False),
            Sent(PING, b"?"),
            Sent(CONTINUATION, b"!"),
            Sent(BINARY, b"z" * 70_000),
        )
    )

    assert list(parsed(bytes((byte,)) for byte in stream)) == [
        (PING, b"?"),
        (TEXT, "grüße!"),
        (BINARY, b"z" * 70_000),
    ]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, LIMIT - 1])
def test_messages_below_the_limit_are_read(size: int) -> None:
    assert list(parsed([Sent(BINARY, b"x" * size).encode()])) == [(BINARY, b"x" * size)]


@pytest.mark.parametrize(
    "sent",
    [
        [Sent(TEXT, b"x" * 100)],
        [Sent(TEXT, b"x" * 60, fin=False), Sent(CONTINUATION, b"x" * 40)],
        [Sent(TEXT, b"x" * 99, fin=False), Sent(PING, b"x"), Sent(CONTINUATION, b"x", fin=False)],
    ],
)
def test_a_message_of_the_limit_is_refused(sent: list[Sent]) -> None:
    *_, last = parsed([frame.encode() for frame in sent], limit=100)

    assert last == TOO_BIG


def test_a_message_over_the_limit_is_refused_by_its_header() -> None:
    header = Sent(TEXT, b"x" * 100_000).encode()[:14]

    assert list(parsed([header], limit=100_000)) == [TOO_BIG]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (Sent(TEXT, b"x", mask=None), PROTOCOL_ERROR),
        (Sent(TEXT, b"x", reserved=4), PROTOCOL_ERROR),
        (Sent(0x3, b"x"), PROTOCOL_ERROR),
        (Sent(0xB), PROTOCOL_ERROR),
        (Sent(CONTINUATION, b"x"), PROTOCOL_ERROR),
        (Sent(PING, b"x", fin=False), PROTOCOL_ERROR),
        (Sent(PING, b"x" * 126), PROTOCOL_ERROR),
        (Sent(TEXT, b"x", length_bytes=2), PROTOCOL_ERROR),
        (Sent(TEXT, b"x" * 126, length_bytes=8), PROTOCOL_ERROR),
        (Sent(TEXT, b"\xed\xa0\x80"), INVALID_TEXT),
        (Sent(TEXT, b"\xff", fin=False), INVALID_TEXT),
        (Sent(CLOSE, b"\x03"), PROTOCOL_ERROR),
        (Sent(CLOSE, b"\x03\xed"), PROTOCOL_ERROR),
        (Sent(CLOSE, b"\x03\xe8\xff"), INVALID_TEXT),
    ],
)
def test_a_forbidden_frame_is_refused_with_its_status(sent: Sent, code: int) -> None:
    assert list(parsed([sent.encode()])) == [code]


def test_a_message_within_another_one_is_refused() -> None:
    stream = [Sent(TEXT, b"a", fin=False).encode(), Sent(BINARY, b"b").encode()]

    assert list(parsed(stream)) == [PROTOCOL_ERROR]
