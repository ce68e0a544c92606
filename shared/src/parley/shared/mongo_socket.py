"""A socket to MongoDB's primary: commands that need neither the driver's threads nor its layers.

The driver opens it, with its authentication and its TLS. A ping then costs 35 us of processor time instead of
230.
"""

import asyncio
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import count
from time import perf_counter
from typing import Any

import bson
from pymongo.errors import AutoReconnect, NetworkTimeout, NotPrimaryError, OperationFailure
from pymongo.server_selectors import writable_server_selector

from parley.shared import daemon_threads
from parley.shared.documents import Document

OP_MSG = 2013
"""The opcode of https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/#op_msg."""
HEADER = struct.Struct("<iiiiIB")
"""Length, request id, response to, opcode, flags, and the kind of the first section."""
SEQUENCE = struct.Struct("<Bi")
MORE_TO_COME = 2
"""The flag of a message that is not answered."""
READ_BYTES = 1 << 18
REQUESTS = count(1 << 30)
NOT_PRIMARY = {10107, 13435, 11602, 189, 91, 11600, 10058, 13436}
"""Codes of a server that is primary no longer, or is about to end."""
AGAIN = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(slots=True, eq=False)
class _Asked:
    """Questions that were sent together, and the answers that have come."""

    count: int
    done: "asyncio.Future[list[bytes]]"
    bodies: list[bytes] = field(default_factory=list)


class MongoSocket:
    """A connection of the driver, used without its threads. The server answers questions in their order.

    Attributes:
        address: The server's address.
        error: Why the socket is closed; None while it is open.
    """

    def __init__(self, connected: Any) -> None:
        self.address: Any = connected.address
        self.error: Exception | None = None
        self._connected = connected
        self._socket: socket.socket = connected.conn.sock
        self._seconds: float | None = connected.opts.socket_timeout
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._unsent = memoryview(b"")
        self._is_writing = False
        self._asked: deque[_Asked] = deque()
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket.fileno(), self._on_readable)

    async def ask(self, message: bytes) -> bytes:
        """Send a message and return the body of its answer.

        Raises:
            AutoReconnect: The connection was lost, or no answer came in time; it is closed then.
        """
        (body,) = await self.ask_all([message])
        return body

    async def ask_all(self, messages: Sequence[bytes]) -> list[bytes]:
        """Send messages in one write, and return the bodies of their answers. Raises as `ask`."""
        if self.error is not None:
            raise AutoReconnect(str(self.error)) from self.error
        asked = _Asked(len(messages), self._loop.create_future())
        self._asked.append(asked)
        self._send(b"".join(messages))
        timer = self._loop.call_later(self._seconds, self._on_timeout) if self._seconds else None
        try:
            return await asked.done
        finally:
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        """Close the socket."""
        if self.error is None:
            self._fail(ConnectionError("the connection was closed"))

    def _send(self, data: bytes) -> None:
        if self._unsent:
            self._unsent = memoryview(bytes(self._unsent) + data)
        else:
            self._unsent = memoryview(data)
            self._on_writable()

    def _on_writable(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except AGAIN:
            pass
        except OSError as error:
            self._fail(error)
            return
        if self._unsent:
            self._loop.add_writer(self._socket.fileno(), self._on_writable)
            self._is_writing = True
        elif self._is_writing:
            self._loop.remove_writer(self._socket.fileno())
            self._is_writing = False

    def _on_readable(self) -> None:
        try:
            while True:
                received = self._socket.recv(READ_BYTES)
                if not received:
                    raise ConnectionError("the server has closed the connection")
                self._received += received
                # Bytes that TLS has decrypted already do not make the socket readable again.
                if not isinstance(self._socket, ssl.SSLSocket):
                    break
        except AGAIN:
            pass
        except OSError as error:
            self._fail(error)
            return
        self._take_answers()

    def _take_answers(self) -> None:
        received = self._received
        while self._asked and len(received) >= HEADER.size:
            length: int = HEADER.unpack_from(received)[0]
            if len(received) < length:
                return
            asked = self._asked[0]
            asked.bodies.append(bytes(received[HEADER.size : length]))
            del received[:length]
            if len(asked.bodies) == asked.count:
                self._asked.popleft()
                # The answers of a caller that was cancelled are read all the same: others follow them.
                if not asked.done.done():
                    asked.done.set_result(asked.bodies)

    def _on_timeout(self) -> None:
        self._fail(TimeoutError("the primary has not answered in time"))

    def _fail(self, error: Exception) -> None:
        self.error = error
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._connected.close_conn(None)
        kind = NetworkTimeout if isinstance(error, TimeoutError) else AutoReconnect
        while self._asked:
            done = self._asked.popleft().done
            if not done.done():
                done.set_exception(kind(str(error)))


async def open_socket(database: Any) -> MongoSocket:
    """Connect to the primary. The connection does not belong to the driver's pool.

    Raises:
        PyMongoError: There is no primary.
    """
    connect = partial(_connect, database.client.delegate)
    return MongoSocket(await daemon_threads.run(connect, lambda late: late.close_conn(None)))


def _connect(driver: Any) -> Any:
    server = driver._topology.select_server(writable_server_selector, "a command")
    return server.pool.connect()


def encode(
    command: Document, name: str = "", documents: Sequence[Document] = (), *, answered: bool = True
) -> bytes:
    """Return an OP_MSG: a section of kind 0 with the command, and one of kind 1 with the documents.

    Args:
        command: The command.
        name: The field that the documents belong to, if there are any.
        documents: The documents.
        answered: Whether the server answers. One that does not drops errors of the command too.
    """
    body = bson.encode(command)
    rest = b""
    if documents:
        encoded = name.encode() + b"\0" + b"".join(map(bson.encode, documents))
        rest = SEQUENCE.pack(1, 4 + len(encoded)) + encoded
    length = HEADER.size + len(body) + len(rest)
    flags = 0 if answered else MORE_TO_COME
    return b"".join((HEADER.pack(length, 0, 0, OP_MSG, flags, 0), body, rest))


def raise_for(answer: Document) -> None:
    """Raise the error that an answer reports.

    Raises:
        NotPrimaryError: The server is the primary no longer.
        OperationFailure: The server has refused the command.
    """
    if answer["ok"]:
        return
    code, reason = answer.get("code"), str(answer.get("errmsg"))
    if code in NOT_PRIMARY:
        raise NotPrimaryError(reason, answer)
    raise OperationFailure(reason, code, answer)


def publish_command(database: Any, command: Document, address: Any) -> Callable[[Document], None]:
    """Tell the driver's command listeners, if there are any; return what tells them the answer."""
    listeners = database.client.delegate._event_listeners
    if not listeners.enabled_for_commands:
        return _ignore
    request_id, name, began = next(REQUESTS), next(iter(command)), perf_counter()
    listeners.publish_command_start(command, database.name, request_id, address, None)
    return lambda answer: listeners.publish_command_success(
        timedelta(seconds=perf_counter() - began), answer, name, request_id, address, None
    )


def _ignore(_answer: Document) -> None:
    """Tell nobody."""
