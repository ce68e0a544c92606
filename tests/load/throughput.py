"""`python -m load.throughput`: groups of ten that all talk at once; messages and deliveries a second."""

import argparse
import asyncio
import contextlib
import os
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop

from clients.chat import NAMESPACE, eventually, token
from clients.socketio_lean import LeanSocket
from stack import Stack

GROUP = 10


class Load:
    """Sockets in groups of ten, each with `window` sends under way."""

    def __init__(self, url: str, secret: str, sockets: int, window: int) -> None:
        self._url, self._secret = url, secret
        self._sockets, self._window = sockets, window
        self._run = uuid.uuid4().hex[:8]
        self.heard: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.accepted = 0
        self.waits: list[float] = []
        self._on = True

    async def run(self, seconds: float) -> None:
        """Talk for a while, wait until everything was heard, and print the figures."""
        rooms = [await self._group(number) for number in range(self._sockets // GROUP)]
        began = time.monotonic()
        talkers = [
            asyncio.create_task(self._talk(socket, room))
            for room, sockets in rooms
            for socket in sockets
            for _ in range(self._window)
        ]
        await asyncio.sleep(seconds)
        self._on = False
        await asyncio.gather(*talkers)
        spoken = time.monotonic() - began
        with contextlib.suppress(AssertionError):
            await eventually(lambda: self.heard["newMessage"] >= self.accepted * GROUP, 5 * seconds)
        self._print(spoken, time.monotonic() - began)
        await asyncio.gather(*(socket.close() for _, sockets in rooms for socket in sockets))

    async def _group(self, number: int) -> tuple[str, list[LeanSocket]]:
        users = [f"load-{self._run}-{number}-{n}" for n in range(GROUP)]
        sockets = [await self._connect(user) for user in users]
        wanted = {"type": "group", "name": f"group {number}", "participants": users[1:]}
        created = await sockets[0].call("createConversation", wanted)
        room: str = created["conversation"]["_id"]
        for socket in sockets:
            await socket.call("joinRoom", {"conversationId": room})
        return room, sockets

    async def _connect(self, user: str) -> LeanSocket:
        auth = {"token": token(self._secret, user)}
        return await LeanSocket.connect(self._url, NAMESPACE, auth, self._hear)

    def _hear(self, event: str, _payload: Any) -> None:
        self.heard[event] += 1

    async def _talk(self, socket: LeanSocket, room: str) -> None:
        while self._on:
            began = time.monotonic()
            said = {"conversationId": room, "content": "x" * 100, "clientMessageId": str(uuid.uuid4())}
            answer = await socket.call("sendMessage", said, within=30)
            if answer["success"]:
                self.accepted += 1
                self.waits.append(time.monotonic() - began)
            else:
                self.refused[answer["error"]["code"]] += 1

    def _print(self, spoken: float, heard: float) -> None:
        waits = sorted(self.waits)
        p50, p99 = (waits[int(len(waits) * q)] * 1000 for q in (0.5, 0.99))
        deliveries = self.heard["newMessage"]
        print(f"{self.accepted:,} messages accepted in {spoken:.1f} s: {self.accepted / spoken:,.0f}/s")
        wanted = self.accepted * GROUP
        print(f"{deliveries:,} of {wanted:,} deliveries in {heard:.1f} s: {deliveries / heard:,.0f}/s")
        print(f"from send to accepted: p50 {p50:.1f} ms, p99 {p99:.1f} ms; refused: {dict(self.refused)}")
        print(f"heard: {dict(self.heard)}")


def measure(url: str, secret: str, args: argparse.Namespace) -> None:
    """Load a stack that is up, and print the figures."""
    uvloop.run(Load(url, secret, args.sockets, args.window).run(args.seconds))


def main() -> None:
    """Read the arguments and run: on a stack of its own that keeps to no rates, or on the one at `--url`.

    Of that one JWT_SECRET comes from the environment.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a stack that is up, with RATE_LIMITS=off; else one of its own")
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--window", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    if args.url:
        measure(args.url, os.environ["JWT_SECRET"], args)
        return
    with (
        tempfile.TemporaryDirectory(prefix="parley-bench-") as directory,
        Stack(Path(directory), settings={"RATE_LIMITS": "off"}) as stack,
    ):
        measure(stack.url, stack.jwt_secret, args)


if __name__ == "__main__":
    main()
