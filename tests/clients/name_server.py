"""A name server on the loopback, which knows the addresses that a test gives it."""

import socket
import struct
import threading
from types import TracebackType
from typing import Self

A, INTERNET = 1, 1
ANSWER, FOUND, UNKNOWN = 0x8400, 0, 3
"""The bits of an authoritative answer, and the codes of its outcome (RFC 1035, 4.1.1)."""
TTL = 1
"""Seconds."""
QUESTION = 12
"""The length of a message's header, behind which the question begins."""


class NameServer:
    """Answers questions for IPv4 addresses by UDP, in a thread.

    Args:
        address: where it listens.
        port: 0 takes a free one.
    """

    def __init__(self, address: str, port: int = 53) -> None:
        self.addresses: dict[str, list[str]] = {}
        """The addresses of each name, which may change while it runs."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An empty message ends the thread; a closed socket would leave it waiting.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def _serve(self) -> None:
        while True:
            message, sender = self._socket.recvfrom(512)
            if not message:
                return
            self._socket.sendto(answer(message, self.addresses), sender)


def answer(message: bytes, addresses: dict[str, list[str]]) -> bytes:
    """Return the answer to a message with one question (RFC 1035, 4.1)."""
    name, end = _name(message)
    question = message[QUESTION : end + 4]
    kind, _ = struct.unpack(">HH", message[end : end + 4])
    known = addresses.get(name.lower())
    found = known if known and kind == A else []
    outcome = UNKNOWN if known is None else FOUND
    head = message[:2] + struct.pack(">HHHHH", ANSWER | outcome, 1, len(found), 0, 0)
    # 0xC00C refers to the name in the question.
    records = (
        struct.pack(">HHHIH4s", 0xC000 | QUESTION, A, INTERNET, TTL, 4, socket.inet_aton(each))
        for each in found
    )
    return head + question + b"".join(records)


def _name(message: bytes) -> tuple[str, int]:
    """Return the name of the question, and where its type begins."""
    labels, position = [], QUESTION
    while length := message[position]:
        labels.append(message[position + 1 : position + 1 + length].decode())
        position += 1 + length
    return ".".join(labels), position + 1
