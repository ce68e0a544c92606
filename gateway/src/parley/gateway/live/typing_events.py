"""Typing events: broadcast when they change something, dropped under load, expired when not renewed."""

from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.state.load_monitor import LoadMonitor
from parley.gateway.state.typing_board import TypingBoard
from parley.shared.events import MessageStored, TypingChanged


class TypingEvents:
    """Broadcasts typing events in this node's conversations."""

    def __init__(self, board: TypingBoard, broadcaster: Broadcaster, load_monitor: LoadMonitor) -> None:
        self._board = board
        self._broadcaster = broadcaster
        self._load_monitor = load_monitor

    def broadcast(self, event: TypingChanged) -> None:
        """Broadcast an event that changes something; under load, only that someone stopped."""
        shed = event.typing and self._load_monitor.is_overloaded
        if not shed and self._board.apply(event):
            self._broadcaster.broadcast(event)

    def end(self, message: MessageStored) -> None:
        """Broadcast that the sender of a message has stopped, if it typed."""
        if not self._board:
            return
        event = self._board.stop(
            message.conversation_id, message.message.sender_id, message.message.created_at
        )
        if event is not None:
            self._broadcaster.broadcast(event)

    def expire(self) -> None:
        """Broadcast that those stopped whose typing was not renewed in time."""
        for event in self._board.take_expired():
            self._broadcaster.broadcast(event)
