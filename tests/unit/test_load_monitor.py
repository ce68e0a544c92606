"""A node is overloaded while its loop lags or its outbox fills, and for a moment after."""

from parley.gateway.state.load_monitor import CALM_SECONDS, MAX_LAG_SECONDS, LoadMonitor


class Node:
    """A load monitor with a clock and an outbox that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.outbox_share = 0.0
        self.load_monitor = LoadMonitor(lambda: self.outbox_share, lambda: self.now)


def test_a_node_with_a_small_lag_is_not_overloaded() -> None:
    node = Node()
    node.load_monitor.observe_lag(MAX_LAG_SECONDS / 2)
    assert not node.load_monitor.is_overloaded


def test_a_lagging_loop_is_overloaded_until_it_was_calm_for_a_moment() -> None:
    node = Node()
    node.load_monitor.observe_lag(MAX_LAG_SECONDS * 2)
    assert node.load_monitor.is_overloaded
    node.now += CALM_SECONDS * 0.9
    node.load_monitor.observe_lag(0.0)
    assert node.load_monitor.is_overloaded
    node.now += CALM_SECONDS * 0.2
    node.load_monitor.observe_lag(0.0)
    assert not node.load_monitor.is_overloaded


def test_a_node_with_a_filled_outbox_is_overloaded() -> None:
    node = Node()
    node.outbox_share = 0.6
    node.load_monitor.observe_lag(0.0)
    assert node.load_monitor.is_overloaded
