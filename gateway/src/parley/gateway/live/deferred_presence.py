"""Deferred presence: under load, presence changes wait until messages have gone out."""

from parley.gateway.live.presence_tracker import PresenceTracker
from parley.gateway.state.load_monitor import LoadMonitor
from parley.shared.events import PresenceChanged


class DeferredPresence:
    """Broadcasts presence changes; while the load is high keeps the latest one of each user."""

    def __init__(self, presence_tracker: PresenceTracker, load_monitor: LoadMonitor) -> None:
        self._presence_tracker = presence_tracker
        self._load_monitor = load_monitor
        self._deferred: dict[str, PresenceChanged] = {}

    def broadcast(self, event: PresenceChanged) -> None:
        """Broadcast a change, now or when the load is low again."""
        if self._load_monitor.is_overloaded and self._presence_tracker.is_followed(event.user_id):
            self._deferred[event.user_id] = event
        else:
            self._presence_tracker.broadcast(event)

    def flush(self) -> None:
        """Broadcast what was deferred, unless the load is still high."""
        if self._load_monitor.is_overloaded:
            return
        deferred, self._deferred = self._deferred, {}
        for event in deferred.values():
            self._presence_tracker.broadcast(event)
