"""The bytes that wait for the clients of this node, with the user behind each."""

from heapq import nlargest
from operator import attrgetter

from parley.gateway.core.results import SlowClient
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.transport.engine_session import EngineSession
from parley.shared import rooms

SLOW_RATIO = 1 / 64
"""The share of its limit from which on a buffer counts: every client has some bytes in it for a moment."""


class ClientBuffers:
    """Finds the fullest buffers when it is asked; nothing is counted before.

    Args:
        manager: The client manager, which knows the rooms of each socket.
    """

    def __init__(self, manager: RedisManager) -> None:
        self._manager = manager

    def fullest(self, count: int) -> list[SlowClient]:
        """Return the clients with the most unread bytes, the most first, of those that are slow."""
        sessions: list[EngineSession] = list(self._manager.server.eio.sockets.values())
        fullest = nlargest(count, sessions, key=attrgetter("unread_bytes"))
        return [self._client(session) for session in fullest if session.unread_ratio >= SLOW_RATIO]

    def _client(self, session: EngineSession) -> SlowClient:
        return SlowClient(
            user_id=self._user_of(session.sid),
            transport="polling" if session.writer is None else "websocket",
            unread_bytes=session.unread_bytes,
            unread_limit=session.server.unread_limit,
        )

    def _user_of(self, eio_sid: str) -> str | None:
        for namespace in self._manager.rooms:
            sid = self._manager.sid_from_eio_sid(eio_sid, namespace)
            for room in self._manager.get_rooms(sid, namespace) if sid is not None else ():
                # Its protocol's room is a part of it, after a slash.
                of_user, _, _ = room.partition("/")
                if of_user.startswith("user:"):
                    return rooms.user_id(of_user)
        return None
