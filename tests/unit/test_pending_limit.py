"""Load shedding: pending messages are limited while they wait too long, and only then."""

from collections import Counter, deque
from collections.abc import Iterable
from itertools import cycle, islice

import pytest

from parley.gateway.state.pending_limit import (
    MAX_RETRY_SECONDS,
    MIN_RETRY_SECONDS,
    RELEASE_SECONDS,
    PendingLimit,
)

TICK = 0.05
TARGET = 0.4
LEAST = 16
BUSY, QUIET = "busy", "quiet"


class Server:
    """A server that works through one queue; its delay is the age of the oldest message."""

    def __init__(self, rate: float = 1_000) -> None:
        self.now = 1_000.0
        self.rate = rate
        self.waiting: deque[tuple[float, str]] = deque()
        self.is_away = False
        self.longest = 0.0
        self.admitted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.done = 0
        self._budget = 0.0
        self.limit = PendingLimit(lambda: len(self.waiting), self.ratio, LEAST, lambda: self.now)

    def ratio(self) -> float:
        """The age of the oldest message, in targets; nothing is known of a server that is away."""
        if self.is_away or not self.waiting:
            return 0.0
        return (self.now - self.waiting[0][0]) / TARGET

    def send(self, conversation_id: str) -> None:
        if self.limit.admits(conversation_id):
            self.limit.add(conversation_id)
            self.waiting.append((self.now, conversation_id))
            self.admitted[conversation_id] += 1
        else:
            self.refused[conversation_id] += 1

    def run(self, seconds: float, sent: float, conversations: Iterable[str] = (BUSY,)) -> None:
        """Let time pass, with `sent` messages a second, to each of the conversations in turn."""
        self.admitted.clear()
        self.refused.clear()
        self.longest, self.done, due = 0.0, 0, 0.0
        names = cycle(conversations)
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            self._work()
            self.limit.observe()
            due += sent * TICK
            for name in islice(names, int(due)):
                self.send(name)
            due -= int(due)

    def _work(self) -> None:
        self._budget = min(self._budget + self.rate * TICK, max(1.0, self.rate * TICK))
        while self.waiting and self._budget >= 1 and not self.is_away:
            since, _ = self.waiting.popleft()
            self.longest = max(self.longest, self.now - since)
            self._budget -= 1
            self.done += 1


def test_a_load_below_the_capacity_is_never_refused() -> None:
    server = Server()
    server.run(60, sent=950)
    assert not server.refused
    assert not server.limit.in_force


def test_a_burst_that_is_worked_off_soon_is_not_refused() -> None:
    server = Server()
    for _ in range(600):
        server.send(BUSY)
    server.run(5, sent=200)
    assert not server.refused


@pytest.mark.parametrize("load", [1.25, 2, 3, 10])
def test_an_overload_keeps_the_throughput_and_bounds_the_wait(load: float) -> None:
    server = Server()
    server.run(15, sent=1_000 * load)
    server.run(30, sent=1_000 * load)
    assert server.done == pytest.approx(30 * 1_000, rel=0.03)
    assert server.longest < 1.5


@pytest.mark.parametrize("load", [2, 3])
def test_the_wait_stays_bounded_from_the_beginning_of_an_overload(load: float) -> None:
    server = Server()
    server.run(5, sent=500)
    server.run(5, sent=1_000 * load)
    assert server.longest < 2


def test_a_server_that_becomes_slower_is_followed() -> None:
    server = Server()
    server.run(10, sent=2_000)
    server.rate = 200
    server.run(10, sent=2_000)
    server.run(20, sent=2_000)
    assert server.done == pytest.approx(20 * 200, rel=0.05)
    assert server.longest < 1.5


def test_a_server_that_becomes_faster_is_followed() -> None:
    server = Server(200)
    server.run(20, sent=2_000)
    server.rate = 1_000
    server.run(10, sent=2_000)
    server.run(20, sent=2_000)
    assert server.done == pytest.approx(20 * 1_000, rel=0.05)


def test_an_outage_of_what_comes_later_refuses_nothing() -> None:
    server = Server()
    server.run(10, sent=900)
    server.is_away = True
    server.run(60, sent=900)
    assert not server.refused


def test_an_outage_during_an_overload_soon_refuses_nothing_more() -> None:
    server = Server()
    server.run(10, sent=2_000)
    server.is_away = True
    server.run(4, sent=1_000)
    server.run(60, sent=1_000)
    assert not server.refused


def test_the_end_of_an_overload_ends_the_refusals() -> None:
    server = Server()
    server.run(30, sent=3_000)
    server.run(1, sent=500)
    server.run(2 * RELEASE_SECONDS, sent=900)
    assert not server.refused
    assert not server.limit.in_force


def test_one_stall_is_no_overload() -> None:
    server = Server()
    server.run(5, sent=500)
    server.is_away = True
    server.run(0.5, sent=500)
    server.is_away = False
    server.run(5, sent=500)
    assert not server.refused


def test_a_conversation_that_sends_little_is_not_starved_by_one_that_sends_much() -> None:
    server = Server()
    names = [BUSY] * 5_999 + [QUIET]
    server.run(5, sent=3_000, conversations=names)
    server.run(60, sent=3_000, conversations=names)
    assert server.admitted[QUIET] == 30
    assert server.refused[BUSY] > 60 * 1_900


def test_conversations_that_send_alike_are_admitted_alike() -> None:
    server = Server()
    names = [f"conversation-{number}" for number in range(20)]
    server.run(5, sent=3_000, conversations=names)
    server.run(30, sent=3_000, conversations=names)
    assert min(server.admitted[name] for name in names) > 0.5 * max(server.admitted.values())


def test_a_limit_leaves_the_next_hop_some_work() -> None:
    server = Server(5)
    server.run(30, sent=1_000)
    assert len(server.waiting) >= LEAST


@pytest.mark.parametrize(("load", "seconds"), [(1.5, MIN_RETRY_SECONDS), (4, 3), (50, MAX_RETRY_SECONDS)])
def test_a_refused_sender_waits_the_longer_the_more_are_refused(load: float, seconds: float) -> None:
    server = Server()
    server.run(20, sent=1_000 * load)
    assert server.limit.retry_after == pytest.approx(seconds, rel=0.3)
