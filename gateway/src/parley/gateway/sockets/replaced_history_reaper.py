"""Closes the sockets whose clients hold a history that MongoDB no longer has."""

from collections.abc import Iterator

import structlog

from parley.gateway.live.sessions import Session, Sessions
from parley.gateway.live.streams import Streams
from parley.gateway.recovery.session_snapshots import SessionSnapshots
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.transport.server import ChatServer

log = structlog.get_logger()


class ReplacedHistoryReaper:
    """Makes the clients of replaced conversations connect again, and not be recovered.

    A client that knows no revisions could not be told in another way that messages were taken back. One that
    connects again without recovery loads its conversations anew, or calls `sync` and gets `tooFar`.
    """

    def __init__(
        self,
        *,
        streams: Streams,
        membership_cache: MembershipCache,
        sessions: Sessions,
        snapshots: SessionSnapshots,
        server: ChatServer,
    ) -> None:
        self._streams = streams
        self._membership_cache = membership_cache
        self._sessions = sessions
        self._snapshots = snapshots
        self._server = server

    async def sweep(self) -> None:
        """Close the connections of all local members of the conversations that were replaced."""
        replaced, self._streams.replaced = self._streams.replaced, set()
        for conversation_id in replaced:
            sessions = list(self._sessions_in(conversation_id))
            log.info("gateway.socket.history_replaced", conversation=conversation_id, sockets=len(sessions))
            self._membership_cache.forget_counts(conversation_id)
            for session in sessions:
                self._close(session)

    def _sessions_in(self, conversation_id: str) -> Iterator[Session]:
        for user_id in self._membership_cache.members_of(conversation_id):
            yield from self._sessions.of_user(user_id)

    def _close(self, session: Session) -> None:
        self._snapshots.end(session, recoverable=False)
        eio_sid = self._server.manager.eio_sid_from_sid(session.sid, session.namespace)
        socket = self._server.eio.sockets.get(eio_sid)
        if socket is not None:
            socket.close_connection()
