"""Sockets of the real socket.io-client, in a node process that does what it is told."""

import asyncio
import json
import sys
import uuid
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from clients.chat import User, eventually
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.protocols.registry import PROTOCOLS

NODE = Path(sys.prefix, "bin", "node")
PROGRAM = Path(__file__).parents[1] / "e2e" / "js" / "clients.mjs"
DEADLINE = 10.0
ENGINE_S_OWN = {"open", "upgrade", "connect", "disconnect", "connect_error", "offset"}


class Program:
    """The node process with its sockets, and everything that they heard."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self.received: list[tuple[str, str, list[Any]]] = []
        self.states: list[tuple[str, dict[str, Any]]] = []
        self.complaints: list[str] = []
        self.acknowledged: list[tuple[ClientProtocol, str, Any]] = []
        self.protocols: dict[str, ClientProtocol] = {}
        self.resolved_at: dict[str, int] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls) -> "Program":
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(NODE, PROGRAM, stdin=pipe, stdout=pipe, limit=1 << 20)
        return cls(process)

    async def command(self, deed: str, name: str, **more: Any) -> Any:
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

    async def connect(
        self,
        user: User,
        url: str,
        protocol: ClientProtocol,
        transports: list[str] | None = None,
        name: str | None = None,
    ) -> "JsSocket":
        """A connected socket of a user, in the namespace of a vocabulary."""
        options: dict[str, Any] = {"auth": {"token": user.token}}
        if transports:
            options["transports"] = transports
        name = name or f"{user.id} {len(self.protocols)}"
        namespace = protocol.namespace.removesuffix("/")
        await self.command("open", name, url=f"{url}{namespace}", options=options)
        self.protocols[name] = protocol
        socket = JsSocket(self, name, protocol)
        await socket.wait_for("connect")
        return socket

    async def connect_elsewhere(
        self,
        user: User,
        url: str,
        protocol: ClientProtocol,
        other: "JsSocket",
        transports: list[str] | None = None,
    ) -> "JsSocket":
        """A socket on another gateway than that of `other`."""
        taken = (await other.inspect())["node"]
        for _ in range(8):
            socket = await self.connect(user, url, protocol, transports)
            if (await socket.inspect())["node"] != taken:
                return socket
            await socket.close()
        raise AssertionError(f"eight times the same gateway: {taken}")

    def assert_payload_shapes(self) -> None:
        """Everything that was heard or answered is what its vocabulary's tables describe."""
        for place, (name, event, args) in enumerate(self.received):
            protocol = self.protocols.get(name)
            if protocol is not None and event not in ENGINE_S_OWN:
                forms = _forms(protocol, event)
                if place < self.resolved_at.get(name, len(self.received)):
                    # Nothing that it said has told yet which of its namespace's vocabularies it speaks.
                    forms += [form for other in _beside(protocol) for form in _forms(other, event)]
                _insist(event, args[0] if args else None, protocol, forms)
        for protocol, event, answer in self.acknowledged:
            _insist(event, answer, protocol, [protocol.inbound[event].ack])

    async def _read(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            said = json.loads(line)
            if "event" in said:
                self.received.append((said["name"], said["event"], said["args"]))
            elif "hook" in said:
                self.states.append((said["hook"], said["state"]))
            elif "complaint" in said:
                self.complaints.append(said["complaint"])
            elif "error" in said:
                self._answers[said["id"]].set_exception(AssertionError(said["error"]))
            else:
                self._answers[said["id"]].set_result(said["result"])


class JsSocket:
    """One socket of the program."""

    def __init__(self, program: Program, name: str, protocol: ClientProtocol | None = None) -> None:
        self._program = program
        self.name = name
        self.protocol = protocol

    async def emit(self, event: str, *args: Any) -> None:
        """Emit without asking for an acknowledgement, as the guide does."""
        await self._program.command("emit", self.name, event=event, args=args)

    async def call_ok(self, event: str, *args: Any) -> Any:
        """Emit, and insist that the acknowledgement is a success."""
        answer = await self.call(event, *args)
        assert answer.get("success") is not False, answer
        if self.protocol is not None:
            self._program.acknowledged.append((self.protocol, event, answer))
        return answer

    async def call(self, event: str, *args: Any) -> Any:
        """Emit and wait for the acknowledgement, whatever it says."""
        return await self._program.command("ask", self.name, event=event, args=args)

    def mark_protocol_resolved(self) -> None:
        """From now on it hears its own vocabulary's words and no other's."""
        self._program.resolved_at[self.name] = len(self._program.received)

    async def inspect(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._program.command("look", self.name)
        return found

    async def close(self) -> None:
        await self._program.command("close", self.name)

    def events(self, event: str) -> list[Any]:
        """The payloads of an event that were heard."""
        return [
            args[0] if args else None
            for who, what, args in self._program.received
            if (who, what) == (self.name, event)
        ]

    async def wait_for(self, event: str, times: int = 1, deadline: float = DEADLINE) -> Any:
        """Wait until an event was heard so many times; the last one's payload."""
        try:
            await eventually(lambda: len(self.events(event)) >= times, deadline)
        except AssertionError:
            mine = [(what, args) for who, what, args in self._program.received if who == self.name]
            raise AssertionError(f"{self.name} never heard {event} {times} times, but {mine[-20:]}") from None
        return self.events(event)[times - 1]

    def contents(self) -> list[str]:
        return [payload["message"]["content"] for payload in self.events("newMessage")]


def _beside(protocol: ClientProtocol) -> list[ClientProtocol]:
    return [v for v in PROTOCOLS if v.namespace == protocol.namespace and v is not protocol]


def _forms(protocol: ClientProtocol, event: str) -> list[Any]:
    """All that an event may look like: it may be said of several things."""
    told = [*protocol.on_connect, *(h.reply for h in protocol.inbound.values() if h.reply)]
    return [t.payload for t in (*told, *protocol.outbound) if t.event == event]


def _insist(event: str, payload: Any, protocol: ClientProtocol, forms: list[Any]) -> None:
    wrong = []
    for form in forms:
        try:
            form.field.deserialize(payload)
        except ValidationError as error:
            wrong.append(error.messages)
        else:
            return
    raise AssertionError(f"{protocol.name} does not say {event} {payload}: {wrong or 'no such event'}")
