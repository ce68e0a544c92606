"""The guides' React hooks, run in the node process, and the states that they returned."""

import json
from typing import Any

from clients.chat import User, eventually
from clients.javascript import DEADLINE, JsSocket, Program
from parley.gateway.protocols.protocol import ClientProtocol


class Hook:
    """A mounted hook of a user, with the `socket` that it opened."""

    def __init__(self, program: Program, socket: JsSocket, args: list[Any]) -> None:
        self._program = program
        self._args = args
        self.socket = socket

    @classmethod
    async def mount(
        cls,
        program: Program,
        hook: str,
        user: User,
        url: str,
        protocol: ClientProtocol,
        conversation_id: str | None,
        other: JsSocket,
    ) -> "Hook":
        """Mount a hook whose socket is on another gateway than `other`."""
        taken = (await other.inspect())["node"]
        for attempt in range(8):
            name = f"{hook} of {user.id}, {attempt}"
            program.protocols[name] = protocol
            mounted = cls(program, JsSocket(program, name, protocol), [url + protocol.namespace, user.token])
            await program.command("mount", name, hook=hook, args=[*mounted._args, conversation_id])
            await mounted.socket.wait_for("connect")
            if (await mounted.socket.inspect())["node"] != taken:
                return mounted
            await mounted.unmount()
        raise AssertionError(f"eight times the same gateway: {taken}")

    async def show(self, conversation_id: str | None) -> None:
        """Show another conversation, as a component does when its property changes."""
        await self._program.command("show", self.socket.name, args=[*self._args, conversation_id])

    async def call(self, method: str, *args: Any) -> None:
        """Call one of the functions that the hook returns."""
        await self._program.command("call", self.socket.name, method=method, args=args)

    async def unmount(self) -> None:
        """Unmount the hook, as when its component leaves the page."""
        await self._program.command("unmount", self.socket.name)

    @property
    def states(self) -> list[dict[str, Any]]:
        """Every state that differed from the one before it."""
        return [state for name, state in self._program.states if name == self.socket.name]

    async def wait_for_state(self, **fields: Any) -> None:
        """Wait until these fields of the state have these values."""
        try:
            await eventually(
                lambda: self.states and self.states[-1] == {**self.states[-1], **fields}, DEADLINE
            )
        except AssertionError:
            shown = json.dumps(self.states[-5:], indent=1)
            raise AssertionError(f"{self.socket.name} never showed {fields}, but {shown}") from None
