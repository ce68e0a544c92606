"""A TCP proxy between a service and its server, which can block or delay all traffic."""

import asyncio
import contextlib
import re
import ssl
import threading
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

CHUNK = 1 << 16
LOOPBACK = "127.0.0.1"


class Proxy:
    """A proxy for the server of a url; its thread is its own, so that the test may block.

    While it is blocked nothing passes either way and no connection is closed, as when a cable is pulled. Data
    that was sent meanwhile arrives when it is unblocked, as TCP has it. With `tls` the proxy terminates TLS.
    It listens on `address`.
    """

    def __init__(self, url: str, tls: ssl.SSLContext | None = None, address: str = LOOPBACK) -> None:
        self._server, self._address = urlsplit(url), address
        self.held = 0
        """The bytes that could not pass at once because the proxy was blocked."""
        self._tls = tls
        self._delay = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._passing = asyncio.Event()
        self._passing.set()
        self._connections: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._listener = self._do(asyncio.start_server(self._accept, self._address, 0, ssl=self._tls))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """The server's url by way of the proxy; a client of MongoDB does not look for other members."""
        user, at, _ = self._server.netloc.rpartition("@")
        port = self._listener.sockets[0].getsockname()[1]
        query = self._server.query
        if self._server.scheme == "mongodb":
            query = re.sub("replicaSet=[^&]*", "directConnection=true", query)
        return urlunsplit(self._server._replace(netloc=f"{user}{at}{self._address}:{port}", query=query))

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._connections)

    def block(self) -> None:
        """Let nothing pass."""
        self._loop.call_soon_threadsafe(self._passing.clear)

    def unblock(self) -> None:
        """Let everything pass."""
        self._loop.call_soon_threadsafe(self._passing.set)

    def delay(self, seconds: float) -> None:
        """Delay everything by this many seconds, each way."""
        self._delay = seconds

    def _do(self, step: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(step, self._loop).result()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        with contextlib.closing(writer), contextlib.suppress(OSError):
            await self._passing.wait()
            there = await asyncio.open_connection(self._server.hostname, self._server.port)
            with contextlib.closing(there[1]):
                await self._both(self._pipe(reader, there[1]), self._pipe(there[0], writer))

    async def _both(self, *pipes: Coroutine[Any, Any, None]) -> None:
        """Run both directions until one side has closed."""
        tasks = [asyncio.ensure_future(pipe) for pipe in pipes]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNK // 64)
        await self._both(self._take(reader, under_way), self._give(under_way, writer))

    async def _take(
        self, reader: asyncio.StreamReader, under_way: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        while True:
            chunk = await reader.read(CHUNK)
            self.held += 0 if self._passing.is_set() else len(chunk)
            await under_way.put((time.monotonic() + self._delay, chunk))
            if not chunk:
                # Keep this side open until the other end has received all data before the close.
                await asyncio.Event().wait()

    async def _give(
        self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        while True:
            due, chunk = await under_way.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._passing.wait()
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()

    async def _end(self) -> None:
        self._listener.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
