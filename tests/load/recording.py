"""What every socket heard during a replay, and how long each line was on its way."""

import asyncio
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ReceivedMessage:
    """A message as it was heard."""

    id: str
    sender: str
    content: str


@dataclass(frozen=True)
class Confirmation:
    """A `messageSent` as it was heard."""

    client_message_id: str
    message_id: str
    seq: int


@dataclass
class DeliveryLog:
    """What all sockets of a replay heard together; delays in seconds."""

    by_number: dict[int, ReceivedMessage] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)
    sent_at: list[float] = field(default_factory=list)
    """When each accepted line was first said, by its number."""
    accept_delays: "array[float]" = field(default_factory=lambda: array("d"))
    delivery_delays: "array[float]" = field(default_factory=lambda: array("d"))
    count: int = 0
    confirmed: set[str] = field(default_factory=set)
    """The client's ids of all messages that any socket heard a confirmation of."""
    other_events: Counter[str] = field(default_factory=Counter)

    @property
    def accepted(self) -> int:
        """How many lines were accepted so far, which is the number of the last."""
        return len(self.accept_delays)

    def start_send(self) -> float:
        """A line is being said; gives when."""
        self.sent_at.append(time.perf_counter())
        return self.sent_at[-1]

    def accept(self) -> None:
        """The line that was begun last is accepted."""
        self.accept_delays.append(time.perf_counter() - self.sent_at[-1])

    def refuse(self) -> None:
        """The line that was begun last never gets a number."""
        self.sent_at.pop()

    def record(self, number: int, heard: ReceivedMessage) -> None:
        """Keeps the message, and notices when two sockets heard different ones under one number."""
        self.count += 1
        known = self.by_number.setdefault(number, heard)
        if known != heard:
            self.contradictions.append(f"number {number} is {known} to one and {heard} to another")
        if 0 < number <= len(self.sent_at):
            self.delivery_delays.append(time.perf_counter() - self.sent_at[number - 1])


class Recorder:
    """One socket's ears: the messages' numbers and the confirmations, in the order in which they came."""

    def __init__(self, deliveries: DeliveryLog) -> None:
        self.numbers: list[int] = []
        self.confirmations: list[Confirmation] = []
        self.activity = asyncio.Event()
        """Set with every event; whoever waits for one clears it."""
        self.unconfirmed: set[str] = set()
        """The client's ids of what this socket said and heard no confirmation of."""
        self._deliveries = deliveries

    def on_event(self, event: str, data: Any) -> None:
        """Takes in one event; called for each, as it comes."""
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
