"""Sockets of the real socket.io-client, in a node process that takes commands."""

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
    """The node process with its sockets, and everything that they received."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self.received: list[tuple[str, str, list[Any]]] = []
        self.states: list[tuple[str, dict[str, Any]]] = []
        self.complaints: list[str] = []
        self.calls: list[tuple[ClientProtocol, str, tuple[Any, ...], Any]] = []
        self.protocols: dict[str, ClientProtocol] = {}
        self.resolved_at: dict[str, int] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls) -> "Program":
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(NODE, PROGRAM, stdin=pipe, stdout=pipe, limit=1 << 20)
        return cls(process)

    async def command(self, deed: str, name: str, **more: Any) -> Any:
        """Give a socket a command; return its result."""
        command = {"id": uuid.uuid4().hex, "do": deed, "name": name, **more}
        answer = self._answers[command["id"]] = asyncio.get_running_loop().create_future()
        assert self._process.stdin
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        return await asyncio.wait_for(answer, 15)

    async def stop(self) -> None:
        """End the process by closing its input: a signal would reach only the launcher of node."""
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
        """Connect a socket of a user to a protocol's namespace."""
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
        """Connect a socket to another gateway than that of `other`."""
        taken = (await other.inspect())["node"]
        for _ in range(8):
            socket = await self.connect(user, url, protocol, transports)
            if (await socket.inspect())["node"] != taken:
                return socket
            await socket.close()
        raise AssertionError(f"eight times the same gateway: {taken}")

    def assert_payload_shapes(self) -> None:
        """Check that all received events and acknowledgements match the tables of their protocol."""
        for place, (name, event, args) in enumerate(self.received):
            protocol = self.protocols.get(name)
            if protocol is not None and event not in ENGINE_S_OWN:
                forms = _forms(protocol, event)
                if place < self.resolved_at.get(name, len(self.received)):
                    # Until a socket's events decide on one protocol, it also receives events of the others.
                    forms += [form for other in _beside(protocol) for form in _forms(other, event)]
                _insist(event, args[0] if args else None, protocol, forms)
        for protocol, event, _, answer in self.calls:
            if answer.get("success") is not False:
                _insist(event, answer, protocol, [protocol.inbound[event].ack])

    async def _read(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            message = json.loads(line)
            if "event" in message:
                self.received.append((message["name"], message["event"], message["args"]))
            elif "hook" in message:
                self.states.append((message["hook"], message["state"]))
            elif "complaint" in message:
                self.complaints.append(message["complaint"])
            elif "error" in message:
                self._answers[message["id"]].set_exception(AssertionError(message["error"]))
            else:
                self._answers[message["id"]].set_result(message["result"])


class JsSocket:
    """One socket of the node process."""

    def __init__(self, program: Program, name: str, protocol: ClientProtocol | None = None) -> None:
        self._program = program
        self.name = name
        self.protocol = protocol

    async def emit(self, event: str, *args: Any) -> None:
        """Emit an event without asking for an acknowledgement, as the guide does."""
        await self._program.command("emit", self.name, event=event, args=args)

    async def call_ok(self, event: str, *args: Any) -> Any:
        """Emit an event and check that it succeeds; return its acknowledgement."""
        answer = await self.call(event, *args)
        assert answer.get("success") is not False, answer
        return answer

    async def call(self, event: str, *args: Any) -> Any:
        """Emit an event; return its acknowledgement."""
        answer = await self._program.command("ask", self.name, event=event, args=args)
        if self.protocol is not None:
            self._program.calls.append((self.protocol, event, args, answer))
        return answer

    def mark_protocol_resolved(self) -> None:
        """Note that from now on the socket receives events of its own protocol only."""
        self._program.resolved_at[self.name] = len(self._program.received)

    async def inspect(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._program.command("look", self.name)
        return found

    async def close(self) -> None:
        await self._program.command("close", self.name)

    def events(self, event: str) -> list[Any]:
        """Return the payloads of the received events of this name."""
        return [
            args[0] if args else None
            for name, received, args in self._program.received
            if (name, received) == (self.name, event)
        ]

    async def wait_for(self, event: str, times: int = 1, deadline: float = DEADLINE) -> Any:
        """Wait until an event was received this many times; return the last payload."""
        try:
            await eventually(lambda: len(self.events(event)) >= times, deadline)
        except AssertionError:
            own = [(received, args) for name, received, args in self._program.received if name == self.name]
            raise AssertionError(f"{self.name} never heard {event} {times} times, but {own[-20:]}") from None
        return self.events(event)[times - 1]

    def contents(self) -> list[str]:
        return [payload["message"]["content"] for payload in self.events("newMessage")]


def _beside(protocol: ClientProtocol) -> list[ClientProtocol]:
    return [v for v in PROTOCOLS if v.namespace == protocol.namespace and v is not protocol]


def _forms(protocol: ClientProtocol, event: str) -> list[Any]:
    """Return all serializers of an event: several domain events may produce it."""
    emitted = [*protocol.on_connect, *(h.reply for h in protocol.inbound.values() if h.reply)]
    return [t.payload for t in (*emitted, *protocol.outbound) if t.event == event]


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
