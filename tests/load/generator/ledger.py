"""Accounts for each message: answered or not, stored or not, and received by which members of its group."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from load.generator.histogram import PER_SECOND


@dataclass
class Tally:
    """The events of a span of time, and the delays that ended in it; tallies add up."""

    sent: int = 0
    accepted: int = 0
    stored: int = 0
    delivered: int = 0
    """First deliveries to a member, also of messages that were refused."""
    doubled: int = 0
    repeated: int = 0
    """Repeats to a member that had reconnected, since live events and the answer to its sync may overlap."""
    unexpected: int = 0
    """Deliveries of messages that nobody sent, or to a member of another group."""
    others: int = 0
    """Events of other kinds: unread counts, presence, typing."""
    too_far: int = 0
    """Clients that had missed more than a sync tells; a real one reads the history then."""
    connects: int = 0
    disconnects: int = 0
    failed_returns: Counter[str] = field(default_factory=Counter)
    """Attempts to connect again that failed, by their reason."""
    refused: Counter[str] = field(default_factory=Counter)
    refused_deliveries: Counter[str] = field(default_factory=Counter)
    """Deliveries of refused messages, by the code of the refusal."""
    accepted_delays: Counter[int] = field(default_factory=Counter)
    refused_delays: Counter[int] = field(default_factory=Counter)
    delivered_delays: Counter[int] = field(default_factory=Counter)
    """Between two members that have not been disconnected."""
    returned_delays: Counter[int] = field(default_factory=Counter)
    """From or to a member that has been disconnected, or reads slowly."""
    late: float = 0.0
    """Seconds by which the client process itself was late, at most."""

    def add(self, other: Self) -> None:
        """Add another span or another process."""
        for name, value in vars(other).items():
            if name == "late":
                self.late = max(self.late, value)
            elif isinstance(value, Counter):
                getattr(self, name).update(value)
            else:
                setattr(self, name, getattr(self, name) + value)


class Message:
    """A message on its way; members of its group are bits."""

    __slots__ = ("accepted", "code", "expected", "received", "sent_at", "steady", "stored")

    def __init__(self, sent_at: float, expected: int, steady: bool) -> None:
        self.sent_at = sent_at
        self.expected = expected
        self.received = 0
        self.accepted = False
        self.stored = False
        self.steady = steady
        """Whether the sender has not been disconnected."""
        self.code: str | None = None
        """The code of its refusal."""

    @property
    def is_done(self) -> bool:
        return self.accepted and self.stored and self.received == self.expected


@dataclass
class Balance:
    """The open accounts."""

    unanswered: int = 0
    unstored: int = 0
    """Accepted messages whose sender has not been told that they are stored."""
    missing: int = 0
    """Deliveries of accepted messages that are missing."""

    @property
    def is_even(self) -> bool:
        return not (self.unanswered or self.unstored or self.missing)


class Ledger:
    """The accounts of one process; the name of a message is a UUID of `run` (32 bits) and a number."""

    def __init__(self, run: int) -> None:
        self.tally = Tally()
        """The events since the last `take`."""
        self._head = b"%08x-0000-4000-8000-" % run
        self._sent = 0
        self._open: dict[bytes, Message] = {}

    def take(self) -> Tally:
        """Return the tally and begin a new one."""
        done, self.tally = self.tally, Tally()
        return done

    def balance(self) -> Balance:
        """Return what is open."""
        waiting = self._open.values()
        return Balance(
            unanswered=sum(not each.accepted and each.code is None for each in waiting),
            unstored=sum(each.accepted and not each.stored for each in waiting),
            missing=sum((each.expected & ~each.received).bit_count() for each in waiting if each.accepted),
        )

    def send(self, expected: int, intended: float, *, steady: bool = True) -> bytes:
        """Open the account of a message and return its name.

        Args:
            expected: the members that are to receive it, as bits.
            intended: when it should be sent, by `time.perf_counter`; delays count from then.
            steady: whether the sender has not been disconnected.
        """
        name = self._head + b"%012x" % self._sent
        self._sent += 1
        self.tally.sent += 1
        self._open[name] = Message(intended, expected, steady)
        return name

    def is_answered(self, name: bytes) -> bool:
        """Whether a message was accepted or refused."""
        message = self._open.get(name)
        return message is None or message.accepted or message.code is not None

    def accept(self, name: bytes, now: float) -> None:
        """Note that a message was accepted; a repeated answer changes nothing."""
        message = self._open.get(name)
        if message is None or message.accepted or message.code is not None:
            return
        message.accepted = True
        self.tally.accepted += 1
        self.tally.accepted_delays[int((now - message.sent_at) * PER_SECOND)] += 1
        self._close_if_done(name, message)

    def store(self, name: bytes) -> bool:
        """Note that the sender was told that a message is stored; return False if it was told before."""
        message = self._open.get(name)
        if message is None or message.stored:
            return False
        message.stored = True
        self.tally.stored += 1
        self._close_if_done(name, message)
        return True

    def refuse(self, name: bytes, code: str, now: float) -> None:
        """Note that a message was refused, perhaps after it had been accepted."""
        message = self._open.get(name)
        if message is None or message.code is not None:
            return
        if message.accepted:
            self.tally.accepted -= 1
        message.accepted, message.code = False, code
        self.tally.refused[code] += 1
        self.tally.refused_delays[int((now - message.sent_at) * PER_SECOND)] += 1
        self.tally.refused_deliveries[code] += message.received.bit_count()

    def deliver(self, name: bytes, member: int, now: float, *, steady: bool = True) -> None:
        """Note that a member received a message.

        Args:
            name: the message's name.
            member: the bit of the member.
            now: the time, by `time.perf_counter`.
            steady: whether the member has not been disconnected and reads as fast as it can.
        """
        message = self._open.get(name)
        tally = self.tally
        if message is None:
            self._deliver_closed(name, steady)
        elif message.received & member:
            self._repeat(steady)
        elif not message.expected & member:
            tally.unexpected += 1
        else:
            message.received |= member
            tally.delivered += 1
            delays = tally.delivered_delays if steady and message.steady else tally.returned_delays
            delays[int((now - message.sent_at) * PER_SECOND)] += 1
            if message.code is not None:
                tally.refused_deliveries[message.code] += 1
            elif message.received == message.expected:
                self._close_if_done(name, message)

    def _deliver_closed(self, name: bytes, steady: bool) -> None:
        number = name[len(self._head) :]
        if name.startswith(self._head) and int(number, 16) < self._sent:
            self._repeat(steady)
        else:
            self.tally.unexpected += 1

    def _repeat(self, steady: bool) -> None:
        if steady:
            self.tally.doubled += 1
        else:
            self.tally.repeated += 1

    def _close_if_done(self, name: bytes, message: Message) -> None:
        if message.is_done:
            del self._open[name]
