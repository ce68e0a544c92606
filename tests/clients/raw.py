"""A hand-written Socket.IO client, which sends frames that no library would, and bare HTTP requests."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
from yarl import URL

from clients.chat import NAMESPACE, eventually

EVENT, ACK, BINARY_EVENT = "42", "43", "45"


class RawSocket:
    """One websocket, which sends text and bytes unchanged."""

    def __init__(self, url: str, namespace: str = NAMESPACE) -> None:
        self.frames: list[str] = []
        self._prefix = "" if namespace == "/" else f"{namespace},"
        self._url = url
        self._http = aiohttp.ClientSession()
        self._ws: aiohttp.ClientWebSocketResponse
        self._reader: asyncio.Task[None]

    async def open(self) -> Self:
        """Open the websocket and receive Engine.IO's handshake, without a namespace."""
        self._ws = await self._http.ws_connect(f"{self._url}/socket.io/?EIO=4&transport=websocket")
        self._reader = asyncio.create_task(self._read())
        await self.wait_for("0")
        return self

    async def connect_namespace(self, auth: Any) -> Self:
        """Connect to the namespace, and wait for its confirmation."""
        await self.send(f"40{self._prefix}{json.dumps(auth)}")
        await self.wait_for(f"40{self._prefix}")
        return self

    async def send(self, frame: str | bytes) -> None:
        """Send one websocket message."""
        if isinstance(frame, str):
            await self._ws.send_str(frame)
        else:
            await self._ws.send_bytes(frame)

    async def call(self, number: int, text: str) -> Any:
        """Send an event with this JSON text and acknowledgement number; return the acknowledgement."""
        await self.send(f"{EVENT}{self._prefix}{number}{text}")
        return await self.wait_for_ack(number)

    async def emit(self, text: str) -> None:
        """Send an event with this JSON text, which asks for no acknowledgement."""
        await self.send(f"{EVENT}{self._prefix}{text}")

    async def wait_for_event(self, name: str) -> Any:
        """Wait for an event; return its first argument."""
        start = f'{EVENT}{self._prefix}["{name}",'
        return json.loads(f"[{(await self.wait_for(start)).removeprefix(start)}")[0]

    async def wait_for_ack(self, number: int) -> Any:
        """Wait for an acknowledgement; return its first argument."""
        start = f"{ACK}{self._prefix}{number}["
        return json.loads((await self.wait_for(start)).removeprefix(start[:-1]))[0]

    async def wait_for(self, start: str) -> str:
        """Wait for a frame that starts with this text; return the last one."""
        found: list[str] = await eventually(lambda: [f for f in self.frames if f.startswith(start)])
        return found[-1]

    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended."""
        return self._reader.done()

    async def wait_until_closed(self) -> None:
        """Wait until the server has closed the connection."""
        await eventually(self._reader.done, 5)

    async def close(self) -> None:
        await self._ws.close()
        await self._reader
        await self._http.close()

    async def takes(self, frame: str) -> None:
        """Process a frame; the next is read when this returns."""
        self.frames.append(frame)

    async def _read(self) -> None:
        async for message in self._ws:
            if message.data == "2":
                await self._ws.send_str("3")
            elif message.type is aiohttp.WSMsgType.TEXT:
                await self.takes(message.data)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        """The text parsed as JSON."""
        return json.loads(self.text)


async def request(
    url: str, method: str, path: str, data: Any = None, *, source: str = "127.0.0.1", **headers: str
) -> Answer:
    """Make one request exactly as given, from an address; underscores in header names become dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(source, 0))) as http,
        http.request(method, URL(url + path, encoded=True), data=data, headers=named) as answer,
    ):
        return Answer(answer.status, answer.headers.copy(), await answer.text())
