"""Sockets of the real socket.io-client, in a node process that does what it is told."""

import asyncio
import json
import sys
import uuid
from pathlib import Path
from typing import Any

from clients.chat import eventually

NODE = Path(sys.prefix, "bin", "node")
PROGRAM = Path(__file__).parents[1] / "e2e" / "js" / "clients.mjs"
DEADLINE = 10.0


class Program:
    """The node process with its sockets, and everything that they heard."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self.heard: list[tuple[str, str, list[Any]]] = []
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls) -> "Program":
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(NODE, PROGRAM, stdin=pipe, stdout=pipe, limit=1 << 20)
        return cls(process)

    async def do(self, deed: str, name: str, **more: Any) -> Any:
        """Have a socket do something; what came of it."""
        command = {"id": uuid.uuid4().hex, "do": deed, "name": name, **more}
        answer = self._answers[command["id"]] = asyncio.get_running_loop().create_future()
        assert self._process.stdin
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        return await asyncio.wait_for(answer, 15)

    async def stop(self) -> None:
        """Its input ends, and so it does; a signal would reach only what node was started by."""
        assert self._process.stdin
        self._process.stdin.close()
        await asyncio.wait_for(self._reader, 10)
        await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            said = json.loads(line)
            if "event" in said:
                self.heard.append((said["name"], said["event"], said["args"]))
            elif "error" in said:
                self._answers[said["id"]].set_exception(AssertionError(said["error"]))
            else:
                self._answers[said["id"]].set_result(said["result"])


class JsSocket:
    """One socket of the program."""

    def __init__(self, program: Program, name: str) -> None:
        self._program = program
        self.name = name

    async def emit(self, event: str, *args: Any) -> None:
        """Emit without asking for an acknowledgement, as the guide does."""
        await self._program.do("emit", self.name, event=event, args=args)

    async def ask(self, event: str, *args: Any) -> Any:
        """Emit, and insist that the acknowledgement is a success."""
        answer = await self._program.do("ask", self.name, event=event, args=args)
        assert answer["success"] is True, answer
        return answer

    async def look(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._program.do("look", self.name)
        return found

    async def close(self) -> None:
        await self._program.do("close", self.name)

    def all(self, event: str) -> list[Any]:
        """The payloads of an event that were heard."""
        return [
            args[0] if args else None
            for who, what, args in self._program.heard
            if (who, what) == (self.name, event)
        ]

    async def hears(self, event: str, times: int = 1, deadline: float = DEADLINE) -> Any:
        """Wait until an event was heard so many times; the last one's payload."""
        try:
            await eventually(lambda: len(self.all(event)) >= times, deadline)
        except AssertionError:
            mine = [(what, args) for who, what, args in self._program.heard if who == self.name]
            raise AssertionError(f"{self.name} never heard {event} {times} times, but {mine[-20:]}") from None
        return self.all(event)[times - 1]

    def contents(self) -> list[str]:
        return [payload["message"]["content"] for payload in self.all("newMessage")]
