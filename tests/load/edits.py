"""`python -m load.edits`: edits per second of one group, and what they cost its partition's other users."""

import argparse
import asyncio
import math
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import uvloop

from clients.socketio_lean import LeanSocket
from load import figures
from load.arguments import Arguments
from load.neighbours import Neighbours, connect, create_group
from parley.shared.partitions import Partitions
from parley.stack import Stack

RETRY_SECONDS = 0.1
ALONE_SECONDS = 3.0
PARTITIONS = 8


class Editors:
    """Members of one group, each of whom edits messages of their own in a closed loop."""

    def __init__(self, stack: Stack, count: int, window: int) -> None:
        self._stack, self._count, self._window = stack, count, window
        self._prefix = uuid.uuid4().hex[:8]
        self._sockets: list[LeanSocket] = []
        self._edited_at: dict[str, tuple[str, float]] = {}
        """The content and the time of each message's last edit."""
        self._owners: dict[str, LeanSocket] = {}
        self._end = 0.0
        self.room = ""
        self.delays: list[float] = []
        """Seconds from each edit to its `messageUpdated` at the editor."""
        self.refused = 0

    async def start(self) -> None:
        """Connect all, and send the messages that will be edited."""
        users = [f"{self._prefix}-{n}" for n in range(max(2, self._count))]
        self._sockets = [await connect(self._stack, user, self._on_event) for user in users]
        self.room = await create_group(self._sockets, users)

    async def run(self, seconds: float) -> None:
        """Edit for some seconds: the next edit of a message follows the event of the last one."""
        for socket in self._sockets[: self._count]:
            for _ in range(self._window):
                sent = await socket.call("sendMessage", {"conversationId": self.room, "content": "x"})
                self._owners[sent["message"]["_id"]] = socket
        self._end = time.perf_counter() + seconds
        for message_id in self._owners:
            self._next(message_id)
        await asyncio.sleep(seconds)

    def _next(self, message_id: str) -> None:
        if time.perf_counter() < self._end:
            self._edit(self._owners[message_id], message_id)

    def _edit(self, socket: LeanSocket, message_id: str) -> None:
        content = uuid.uuid4().hex
        self._edited_at[message_id] = content, time.perf_counter()
        edit = {"messageId": message_id, "content": content}

        def answered(answer: "asyncio.Future[Any]") -> None:
            # Edits of the last moment are unanswered when the sockets close.
            if answer.exception() is None and not answer.result()["success"]:
                self.refused += 1
                self._edited_at.pop(message_id, None)
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._next, message_id)

        socket.request("editMessage", edit).add_done_callback(answered)

    def _on_event(self, event: str, payload: Any) -> None:
        # Each member receives the event; the first one counts.
        if event == "messageUpdated":
            message_id, content = payload["message"]["_id"], payload["message"]["content"]
            last, began = self._edited_at.get(message_id, ("", 0.0))
            if content == last:
                del self._edited_at[message_id]
                self.delays.append(time.perf_counter() - began)
                self._next(message_id)

    async def close(self) -> None:
        """Disconnect all."""
        await asyncio.gather(*(socket.close() for socket in self._sockets))


async def measure(stack: Stack, args: argparse.Namespace) -> None:
    """Measure the neighbours alone, then beside the editors, and print the figures."""
    editors = Editors(stack, args.editors, args.window)
    partition = Partitions(PARTITIONS).of
    await editors.start()
    neighbours = Neighbours(stack, lambda room: partition(room) == partition(editors.room))
    await neighbours.start()
    alone = await neighbours.run(ALONE_SECONDS)
    beside, _ = await asyncio.gather(neighbours.run(args.seconds), editors.run(args.seconds))
    print(f"{args.editors} editors, {args.window} edits each at a time; refused: {editors.refused}")
    print(f"{len(editors.delays) / args.seconds:,.0f} edits/s stored and received")
    print(figures.latency("from edit to received", editors.delays))
    print(figures.latency("a neighbour's message, without edits", alone))
    print(figures.latency("a neighbour's message, beside them", beside))
    await asyncio.gather(editors.close(), neighbours.close())


def main() -> None:
    """Read the arguments, and run on an own stack without rate limits."""
    parser = Arguments(prog="load.edits", description=__doc__)
    parser.add_argument("--editors", type=int, default=8)
    parser.add_argument("--window", type=int, default=10, help="messages that each of them edits at a time")
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    if args.editors < 1 or args.window < 1 or not 0 < args.seconds < math.inf:
        parser.error("there must be an editor, a window of 1 and some seconds, at least")
    settings = {"RATE_LIMITS": "off", "PARTITIONS": str(PARTITIONS)}
    with (
        tempfile.TemporaryDirectory(prefix="parley-edits-") as directory,
        Stack(Path(directory), settings=settings) as stack,
    ):
        uvloop.run(measure(stack, args))


if __name__ == "__main__":
    main()
