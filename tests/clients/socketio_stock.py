"""The stock Python client of Socket.IO with the lean client's methods; it can poll."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import aiohttp
import socketio
from engineio import payload

from clients.socketio_lean import Disconnected, OnEvent, Refused

# By default it breaks off when one poll brings more than 16 packets; other clients have no such bound.
payload.Payload.max_decode_packets = 100_000

LEAVING = 0.5
"""Seconds that a disconnect may take."""


class StockSocket:
    """One client of one namespace over the given transports, tried in this order."""

    def __init__(self, namespace: str, on_event: OnEvent) -> None:
        self.engine_sid = ""
        self.closed = asyncio.Event()
        self._namespace = namespace
        self._refusal: Any = None
        # The client leaves its own HTTP session open when a connect is cancelled.
        self._http = aiohttp.ClientSession()
        # By default the client installs a handler for SIGINT.
        self._client = socketio.AsyncClient(reconnection=False, http_session=self._http, handle_sigint=False)
        self._client.on(
            "*", lambda event, *args: on_event(event, args[0] if args else None), namespace=namespace
        )
        self._client.on("connect_error", self._refused, namespace=namespace)
        self._client.on("disconnect", lambda *_: self.closed.set(), namespace=namespace)

    @classmethod
    async def connect(
        cls,
        url: str,
        namespace: str,
        auth: Any,
        on_event: OnEvent,
        transports: Sequence[str] = ("polling", "websocket"),
    ) -> "StockSocket":
        """Connect to `url` (http://host:port).

        Raises:
            Refused: The server or the namespace refuses the connect.
        """
        socket = cls(namespace, on_event)
        try:
            await socket._client.connect(
                url, auth=auth, namespaces=[namespace], transports=list(transports), wait_timeout=15
            )
        except socketio.exceptions.ConnectionError as error:
            raise Refused(socket._refusal or {"message": str(error)}) from error
        finally:
            if not socket._client.connected:
                await socket._http.close()
        socket.engine_sid = socket._client.eio.sid
        return socket

    @property
    def transport(self) -> str:
        """The present transport: `polling` or `websocket`."""
        return str(self._client.transport())

    async def call(self, event: str, *args: Any, within: float = 10.0) -> Any:
        """Emit an event; return its acknowledgement's first argument.

        Raises:
            TimeoutError: No acknowledgement came `within` seconds.
            Disconnected: The socket closed.
        """
        data = args if args else None
        answer = asyncio.ensure_future(
            self._client.call(event, data, namespace=self._namespace, timeout=within)
        )
        # After a close the client itself would go on waiting for the acknowledgement.
        gone = asyncio.ensure_future(self.closed.wait())
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise Disconnected("the server closed the socket")
            return answer.result()
        except socketio.exceptions.TimeoutError as error:
            raise TimeoutError(f"{event} was not acknowledged") from error
        except socketio.exceptions.SocketIOError as error:
            raise Disconnected(str(error)) from error
        finally:
            answer.cancel()
            gone.cancel()

    def _refused(self, reason: Any) -> None:
        self._refusal = reason

    async def close(self) -> None:
        """Leave the namespace and close the connection."""
        # A polling client waits for its last poll, which the server may leave open for long.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVING):
                await self._client.disconnect()
        await self._http.close()
        self.closed.set()
