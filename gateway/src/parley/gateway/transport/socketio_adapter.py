"""The one module that uses private names of python-socketio and python-engineio.

Other modules override or call the public names that the classes here give to the libraries' hooks.
Minor releases may change private names, so that an untested one is refused at import;
`tests/contract/test_socketio_adapter.py` tests each hook.
"""

from collections.abc import Callable
from importlib import metadata
from typing import Any

import engineio
import socketio
from socketio.async_manager import AsyncManager

TESTED_MINORS = {"python-socketio": "5.18", "python-engineio": "4.15"}


class UntestedLibraryError(ImportError):
    """An installed library has a minor version that the overrides were not tested with."""


def check_versions(version_of: Callable[[str], str] = metadata.version) -> None:
    """Check that the installed libraries have the minor versions that the overrides were written for.

    Raises:
        UntestedLibraryError: one of them has another.
    """
    for library, minor in TESTED_MINORS.items():
        installed = version_of(library)
        if installed.split(".")[:2] != minor.split("."):
            raise UntestedLibraryError(
                f"{library} {installed} is installed, but Parley overrides private methods of {minor}.x."
                f" Install '{library}=={minor}.*', or make tests/contract/test_socketio_adapter.py pass"
                " with the new version and name it in TESTED_MINORS and gateway/pyproject.toml."
            )


check_versions()


class EngineHooks(engineio.AsyncServer):  # type: ignore[misc]
    """python-engineio's server, with public names for its hooks."""

    trigger_event = engineio.AsyncServer._trigger_event


class SocketHooks(socketio.AsyncServer):  # type: ignore[misc]
    """python-socketio's server, with public names for its hooks, which do what the library does."""

    engine_class: type[EngineHooks] = EngineHooks

    on_engine_message = socketio.AsyncServer._handle_eio_message
    on_engine_disconnect = socketio.AsyncServer._handle_eio_disconnect
    connect_namespace = socketio.AsyncServer._handle_connect
    disconnect_namespace = socketio.AsyncServer._handle_disconnect
    on_client_event = socketio.AsyncServer._handle_event
    send_packet = socketio.AsyncServer._send_packet

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.eio.on("message", self.on_engine_message)
        self.eio.on("disconnect", self.on_engine_disconnect)

    def discard_partial_packet(self, eio_sid: str) -> None:
        """Forget a packet whose binary attachments have not all arrived."""
        self._binary_packet.pop(eio_sid, None)

    def has_partial_packet(self, eio_sid: str) -> bool:
        """Return whether a packet waits for binary attachments."""
        return eio_sid in self._binary_packet

    def _engineio_server_class(self) -> type[EngineHooks]:
        return self.engine_class

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        await self.connect_namespace(eio_sid, namespace or "/", data)

    async def _handle_event(self, eio_sid: str, namespace: str | None, id: int | None, data: Any) -> None:
        await self.on_client_event(eio_sid, namespace or "/", id, data)

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        await self.send_packet(eio_sid, pkt)


class ManagerHooks(AsyncManager):  # type: ignore[misc]
    """python-socketio's client manager, with public names for its hooks."""

    def register_callback(self, sid: str, callback: Callable[..., Any]) -> int:
        """Register a callback for a socket's acknowledgement; returns the acknowledgement's number."""
        number: int = self._generate_ack_id(sid, callback)
        return number
