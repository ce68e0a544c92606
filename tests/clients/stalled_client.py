"""A client that can stop reading: a hand-written websocket with a small receive buffer."""

import base64
import json
import os
import re
import socket
import struct
from typing import Any
from urllib.parse import urlsplit

from clients.chat import NAMESPACE, User

ESTABLISHED = 1
BUFFER = 4096


class StalledClient:
    """A user's socket that reads only when asked to; its methods block."""

    def __init__(self, url: str, user: User, **auth: Any) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._socket.connect((urlsplit(url).hostname, urlsplit(url).port))
        self._socket.settimeout(5)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self._read_until(b'"sid"')
        self._send(f"40{NAMESPACE}," + json.dumps({"token": user.token, **auth}))
        connected = self._read_until(f"40{NAMESPACE},".encode(), b"}")
        self.pid: str = json.loads(re.findall(rb"40/[a-z]*,({.*?})", connected)[0])["pid"]

    def join(self, conversation_id: str) -> None:
        """Join a conversation, and stop reading."""
        self._send(f"42{NAMESPACE},1" + json.dumps(["joinRoom", {"conversationId": conversation_id}]))
        self._read_until(f"43{NAMESPACE},1[".encode())

    def ask(self, number: int, event: str, payload: Any) -> None:
        """Send an event that asks for an acknowledgement, which is not read."""
        self._send(f"42{NAMESPACE},{number}" + json.dumps([event, payload]))

    @property
    def established(self) -> bool:
        """Whether the connection stands, by the kernel and without reading."""
        return self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED

    def close(self) -> None:
        self._socket.close()

    def _read_until(self, word: bytes, end: bytes = b"") -> bytes:
        received = b""
        while word not in received or end not in received.partition(word)[2]:
            if not (part := self._socket.recv(BUFFER)):
                raise ConnectionError(f"closed after {received[-500:]!r}")
            received += part
        return received

    def _send(self, text: str) -> None:
        """Send one masked frame."""
        body, mask = text.encode(), os.urandom(4)
        masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(body))
        size = len(body)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
        self._socket.sendall(b"\x81" + length + mask + masked)
