"""Pressure is high while a node is behind, and for a moment after."""

from parley.gateway.state.load_monitor import CALM_SECONDS, LAG_SECONDS, LoadMonitor


class Node:
    def __init__(self) -> None:
        self.now = 100.0
        self.waiting = 0.0
        self.load_monitor = LoadMonitor(lambda: self.waiting, lambda: self.now)


def test_a_node_at_ease_is_under_no_pressure() -> None:
    node = Node()
    node.load_monitor.felt(LAG_SECONDS / 2)
    assert not node.load_monitor.high


def test_a_loop_that_lags_is_under_pressure_until_it_has_been_calm_for_a_moment() -> None:
    node = Node()
    node.load_monitor.felt(LAG_SECONDS * 2)
    assert node.load_monitor.high
    node.now += CALM_SECONDS * 0.9
    node.load_monitor.felt(0.0)
    assert node.load_monitor.high
    node.now += CALM_SECONDS * 0.2
    node.load_monitor.felt(0.0)
    assert not node.load_monitor.high


def test_much_that_waits_for_the_broker_is_pressure_too() -> None:
    node = Node()
    node.waiting = 0.6
    node.load_monitor.felt(0.0)
    assert node.load_monitor.high
