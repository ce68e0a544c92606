"""A node's limits: its own delays limit all messages, a slow outbox those of its partition."""

from parley.gateway.state.hop_delays import OUTBOX, TARGET_SECONDS, HopDelays
from parley.gateway.state.load_shedder import LONGEST_TURN_SECONDS, LoadShedder

TICK = 0.05
SECONDS = 1.0
"""Longer than any delay must last to be an overload."""


class Node:
    """A shedder of two partitions, whose load a test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pending = 200
        self.unconfirmed = [100, 100]
        self.age = [0.0, 0.0]
        self.shedder = LoadShedder(
            HopDelays(),
            pending=lambda: self.pending,
            partitions=2,
            unconfirmed=lambda k: self.unconfirmed[k],
            unconfirmed_age=lambda k: self.age[k],
            clock=lambda: self.now,
        )

    def run(self, seconds: float, lag: float = 0.0) -> None:
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            self.shedder.observe(lag)

    def admits(self, partition: int) -> bool:
        conversation_id = f"conversation-{partition}"
        if self.shedder.retry_after(conversation_id, partition) is not None:
            return False
        self.shedder.add(conversation_id, partition)
        return True


def test_a_node_in_time_admits_everything() -> None:
    node = Node()
    node.run(10, lag=0.01)
    assert node.admits(0)
    assert not node.shedder.is_shedding


def test_a_lagging_event_loop_refuses_the_messages_of_all_partitions() -> None:
    node = Node()
    node.run(SECONDS, lag=1.0)
    assert node.shedder.is_shedding
    assert not node.admits(0)
    assert not node.admits(1)


def test_a_slow_outbox_refuses_the_messages_of_its_partition_only() -> None:
    node = Node()
    node.age[0] = 3 * TARGET_SECONDS[OUTBOX]
    node.run(SECONDS)
    assert not node.admits(0)
    assert node.admits(1)


def test_a_flood_in_one_turn_of_the_event_loop_is_refused_from_a_point_on() -> None:
    node = Node()
    node.run(SECONDS)
    assert node.admits(0)
    node.now += 1.1 * LONGEST_TURN_SECONDS
    assert not node.admits(0)
    node.shedder.observe(LONGEST_TURN_SECONDS)
    assert node.admits(0)


def test_few_messages_after_a_stall_are_no_flood() -> None:
    node = Node()
    node.run(SECONDS)
    node.pending = 10
    node.now += 5
    assert node.admits(0)


def test_work_that_is_done_makes_room() -> None:
    node = Node()
    node.run(SECONDS, lag=1.0)
    node.pending = 10
    assert node.admits(0)


def test_a_node_that_is_in_time_again_admits_everything_again() -> None:
    node = Node()
    node.run(SECONDS, lag=1.0)
    node.run(10)
    assert node.admits(0)
    assert not node.shedder.is_shedding
