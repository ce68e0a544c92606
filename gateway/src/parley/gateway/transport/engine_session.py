"""An Engine.IO session: python-engineio's, with the protocol's rules about polling and closing."""

import asyncio

from engineio import packet as eio
from engineio.async_socket import AsyncSocket
from engineio.exceptions import EngineIOError

from parley.gateway.transport.packet_queue import PacketQueue


class EngineSession(AsyncSocket):  # type: ignore[misc]
    """One client's session, over polling, a websocket, or first the one and then the other."""

    queue: PacketQueue
    received_bytes = 0
    """Bytes of messages that no event has been charged for."""
    _is_polling = False

    async def poll(self) -> list[eio.Packet]:
        """Wait for packets to answer a poll with.

        Of two polls at once neither client nor server could say which one takes the next packet,
        so the protocol closes the session.

        Raises:
            EngineIOError: the session closes, for a second poll or for a missing answer to a ping.
        """
        if self.upgrading:
            return [eio.Packet(eio.NOOP)]
        if self._is_polling:
            await self.close(reason=self.server.reason.TRANSPORT_ERROR)
            raise EngineIOError("The session has another poll that waits.")
        # The monitoring task looks at each session only once per ping timeout.
        if not await self.check_ping_timeout():
            raise EngineIOError("The client has not answered a ping in time.")
        self._is_polling = True
        try:
            packets: list[eio.Packet] = await super().poll()
            return packets
        finally:
            self._is_polling = False

    async def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """Close the session, then its connection: a waiting poll is answered, a websocket closed.

        Args:
            wait: ignored; python-engineio would wait for a client that may never poll again.
            abort: send no CLOSE packet.
            reason: one of `engineio.AsyncServer.reason`, for the handlers of the disconnect event.
        """
        if self.closed or self.closing:
            return
        await super().close(wait=False, abort=abort, reason=reason)
        if self.queue.writer is not None:
            asyncio.get_running_loop().call_soon(self.queue.writer.close)
        elif self.queue.empty():
            self.queue.put_nowait(eio.Packet(eio.NOOP))

    async def terminate(self) -> None:
        """Close the session and its websocket, even if an earlier close still waits for its handlers."""
        await self.close(abort=True, reason=self.server.reason.SERVER_DISCONNECT)
        if self.queue.writer is not None:
            self.queue.writer.close()

    def close_connection(self, code: int | None = None) -> None:
        """Close the connection only, so that the client takes it for lost and reconnects.

        Args:
            code: status for a websocket's close frame; a polling client gets a CLOSE packet.
        """
        if self.queue.writer is not None:
            self.queue.writer.close(code=code)
        else:
            self.queue.put_nowait(eio.Packet(eio.CLOSE))
