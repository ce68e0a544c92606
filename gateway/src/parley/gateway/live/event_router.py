"""The event router: decodes what comes off the bus and hands each event to its handler."""

from collections.abc import Iterator
from typing import Any

import structlog

from parley.gateway.live.commit_waiters import CommitWaiters
from parley.gateway.live.event_handlers import Handlers
from parley.gateway.state.admission import AdmissionController
from parley.gateway.state.rates import Buckets, Rate
from parley.shared import events as e
from parley.shared import rooms
from parley.shared.metrics import batch_records, bus_failures, unknown_kinds

log = structlog.get_logger()

received_events = batch_records.of["bus"]

LOGGED_FAILURES = Rate(1, 10)
"""Every publication that cannot be decoded is counted; so many a second are logged."""
EVENTS_AT_ONCE = 16
"""Events of a publication that are routed without a pause."""
COMMITTED = frozenset(
    (e.MessageStored, e.MessageEdited, e.MessageDeleted, e.MessageRepeated, e.RecordRefused)
)
"""The events that end the wait of the records that are subject to admission."""


class EventRouter:
    """Routes the events of one node. Its table is complete when it is made; nothing is wired later."""

    def __init__(
        self, handlers: Handlers, commit_waiters: CommitWaiters, admission: AdmissionController
    ) -> None:
        self._handlers = handlers
        self._commit_waiters = commit_waiters
        self._admission = admission
        self._logged = Buckets(LOGGED_FAILURES)

    def receive(self, channel: str, body: bytes) -> Iterator[None]:
        """Route the events of one publication, and yield after some: there may be hundreds.

        An event that cannot be read is counted and skipped by itself.
        """
        room, events = rooms.of_channel(channel), e.unpack(body)
        received_events.add(len(events))
        for start in range(0, len(events), EVENTS_AT_ONCE):
            for event in events[start : start + EVENTS_AT_ONCE]:
                handler = self._handlers.get(type(event))
                if handler is None:
                    self._skip(channel, event)
                else:
                    self._settle(event)
                    handler(room, event)
            yield

    def _settle(self, event: Any) -> None:
        """End the waits of the records that an event is the outcome of."""
        if type(event) in COMMITTED:
            conversation_id = event.conversation_id
            for record_id in e.records_of(event):
                self._admission.confirm(conversation_id, record_id)
        self._commit_waiters.resolve(event)

    def _skip(self, channel: str, event: Any) -> None:
        if not isinstance(event, e.UnreadableEvent):
            unknown_kinds.labels("event").inc()
            return
        bus_failures.labels("decode").inc()
        if self._logged.try_take(""):
            log.warning("gateway.bus.unreadable", channel=channel, error=event.reason)
