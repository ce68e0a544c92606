"""The people of a replay: their tokens, and their sockets spread over the gateways."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from picows import WSError

from clients.socketio_lean import LeanSocket, Refused
from clients.socketio_stock import StockSocket
from load.progress import Progress
from load.replay.recording import DeliveryLog, Recorder
from load.replay.script import Speaker

CHAT = "/chat"
AT_ONCE = 25
"""The number of concurrent connects."""


class ConnectRefused(Exception):
    """A connect was refused, or the server is away; the text says where and why."""


@dataclass(frozen=True)
class Member:
    """A speaker's account, socket and recorder; the speakers of one person share the `user_id`."""

    speaker: Speaker
    user_id: str
    token: str
    recorder: Recorder
    socket: LeanSocket | StockSocket
    transport: str

    @property
    def gateway(self) -> str:
        """The gateway that serves the socket: session ids start with its name."""
        return self.socket.engine_sid.partition(".")[0]

    async def call(self, event: str, data: Any) -> dict[str, Any]:
        """Send an event and return its acknowledgement; raises TimeoutError or Disconnected."""
        answer: dict[str, Any] = await self.socket.call(event, data)
        return answer


class Connector:
    """Connects speakers to `url`: each gets a token that is valid for `token_seconds`, and a socket.

    `prefix` sets the user ids of this run apart from those of any other.
    """

    def __init__(
        self, url: str, prefix: str, secret: str, token_seconds: float, deliveries: DeliveryLog
    ) -> None:
        self._url = url
        self._prefix = prefix
        self._secret = secret
        self._token_seconds = token_seconds
        self._deliveries = deliveries
        self._numbers = itertools.count()

    async def connect(self, speaker: Speaker) -> Member:
        """Connect one speaker; raises ConnectRefused."""
        try:
            return await self._open(speaker)
        except (OSError, TimeoutError) as error:
            raise ConnectRefused(f"No server answers at {self._url}.") from error
        except WSError as error:
            raise ConnectRefused(f"What answers at {self._url} takes no sockets: {_bare(error)}.") from error
        except Refused as error:
            raise ConnectRefused(
                f"The server at {self._url} does not let everybody in: {_bare(error)}."
            ) from error

    async def connect_all(self, speakers: Sequence[Speaker], progress: Progress) -> list[Member]:
        """Connect all speakers; raises ConnectRefused if any is refused."""
        gate = asyncio.Semaphore(AT_ONCE)
        connected: list[Member] = []

        async def one(speaker: Speaker) -> Member:
            async with gate:
                member = await self.connect(speaker)
            connected.append(member)
            progress.show("sockets", len(connected), len(speakers))
            return member

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(speaker)) for speaker in speakers]
        except* ConnectRefused as turned:
            await close_all(connected)
            raise turned.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _open(self, speaker: Speaker) -> Member:
        user_id = account(self._prefix, speaker.person)
        token = token_for(user_id, speaker.nick, self._secret, self._token_seconds)
        recorder = Recorder(self._deliveries)
        number, auth, on_event = next(self._numbers), {"token": token}, recorder.on_event
        socket: LeanSocket | StockSocket
        # Most use the load client; every sixth uses the stock client, which opens by polling, and half
        # of those stay with polling.
        if number % 6 != 4:
            way, socket = "websocket", await LeanSocket.connect(self._url, CHAT, auth, on_event)
        elif number % 12 == 4:
            way, socket = "polling and upgrade", await StockSocket.connect(self._url, CHAT, auth, on_event)
        else:
            way, socket = "polling", await StockSocket.connect(self._url, CHAT, auth, on_event, ("polling",))
        return Member(speaker, user_id, token, recorder, socket, way)


def _bare(error: Exception) -> str:
    return str(error).rstrip(".")


def account(prefix: str, person: str) -> str:
    """Return the user id of a person in the run `prefix`; unprintable characters become their numbers."""
    return prefix + "-" + "".join(c if c.isprintable() else f"%{ord(c):x}" for c in person)


def token_for(user_id: str, nick: str, secret: str, token_seconds: float) -> str:
    """Return a token of the user that is valid for `token_seconds`."""
    claims = {"sub": user_id, "name": nick, "username": nick, "exp": int(time.time() + token_seconds)}
    return jwt.encode(claims, secret, algorithm="HS256")


async def close_all(members: Sequence[Member]) -> None:
    """Close every socket that is still open."""
    await asyncio.gather(*(member.socket.close() for member in members), return_exceptions=True)


def spread(members: Sequence[Member]) -> str:
    """Return the number of sockets of each gateway and transport as text."""
    gateways = Counter(member.gateway for member in members)
    ways = Counter(member.transport for member in members)
    return ", ".join(f"{count} on {gateway}" for gateway, count in sorted(gateways.items())) + (
        " (" + ", ".join(f"{count} by {way}" for way, count in ways.most_common()) + ")"
    )
