"""Records what every socket receives during a replay, and the delay of each line."""

import asyncio
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ReceivedMessage:
    """A message as it was received."""

    id: str
    sender: str
    content: str


@dataclass(frozen=True)
class Confirmation:
    """A `messageSent` as it was received."""

    client_message_id: str
    message_id: str
    seq: int


@dataclass
class DeliveryLog:
    """The deliveries to all sockets of a replay; delays in seconds."""

    by_number: dict[int, ReceivedMessage] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)
    sent_at: list[float] = field(default_factory=list)
    """The time at which each accepted line was first sent, by its number."""
    accept_delays: "array[float]" = field(default_factory=lambda: array("d"))
    delivery_delays: "array[float]" = field(default_factory=lambda: array("d"))
    count: int = 0
    confirmed: set[str] = field(default_factory=set)
    """The client message ids that any socket received a confirmation of."""
    other_events: Counter[str] = field(default_factory=Counter)

    @property
    def accepted(self) -> int:
        """The number of accepted lines, which is the number of the last one."""
        return len(self.accept_delays)

    def start_send(self) -> float:
        """Note that a line is being sent; return the time."""
        self.sent_at.append(time.perf_counter())
        return self.sent_at[-1]

    def accept(self) -> None:
        """Note that the line begun last is accepted."""
        self.accept_delays.append(time.perf_counter() - self.sent_at[-1])

    def refuse(self) -> None:
        """Note that the line begun last never gets a number."""
        self.sent_at.pop()

    def record(self, number: int, message: ReceivedMessage) -> None:
        """Record a message, and note a contradiction if two sockets received different ones of one number."""
        self.count += 1
        known = self.by_number.setdefault(number, message)
        if known != message:
            self.contradictions.append(f"number {number} is {known} to one socket and {message} to another")
        if 0 < number <= len(self.sent_at):
            self.delivery_delays.append(time.perf_counter() - self.sent_at[number - 1])


class Recorder:
    """Records the messages' numbers and the confirmations that one socket receives, in order."""

    def __init__(self, deliveries: DeliveryLog) -> None:
        self.numbers: list[int] = []
        self.confirmations: list[Confirmation] = []
        self.activity = asyncio.Event()
        """Set with every event; a waiter clears it before it waits."""
        self.unconfirmed: set[str] = set()
        """The client message ids that this socket sent and received no confirmation of."""
        self._deliveries = deliveries

    def on_event(self, event: str, data: Any) -> None:
        """Record one event."""
        self.activity.set()
        if event == "newMessage":
            message = data["message"]
            number = message["seq"]
            self.numbers.append(number)
            self._deliveries.record(
                number, ReceivedMessage(message["_id"], message["sender"]["_id"], message["content"])
            )
        elif event == "messageSent":
            confirmation = Confirmation(data["clientMessageId"], data["messageId"], data["seq"])
            self.confirmations.append(confirmation)
            self.unconfirmed.discard(confirmation.client_message_id)
            self._deliveries.confirmed.add(confirmation.client_message_id)
        else:
            self._deliveries.other_events[event] += 1
