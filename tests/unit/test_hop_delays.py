"""The delays of a node: the hop that exceeds its target most decides."""

import pytest

from parley.gateway.state.hop_delays import BUS, INBOX, LOOP, TARGET_SECONDS, DelayGauge, HopDelays


def test_a_gauge_returns_the_longest_delay_once() -> None:
    gauge = DelayGauge()
    for seconds in (0.1, 0.3, 0.2):
        gauge.observe(seconds)
    assert gauge.take() == 0.3
    assert gauge.take() == 0


def test_a_node_without_delays_exceeds_no_target() -> None:
    delays = HopDelays()
    delays.observe_lag(0.0)
    assert delays.ratio() == 0


@pytest.mark.parametrize("hop", [LOOP, INBOX, BUS])
def test_the_ratio_is_that_of_the_slowest_hop(hop: str) -> None:
    seconds = {LOOP: 0.0, INBOX: 0.0, BUS: 0.0, hop: 2 * TARGET_SECONDS[hop]}
    delays = HopDelays(lambda: seconds[BUS])
    for _ in range(100):
        delays.inbox.observe(seconds[INBOX])
        delays.observe_lag(seconds[LOOP])
    assert delays.slowest() == hop
    assert delays.ratio() == pytest.approx(2, rel=0.01)


def test_one_late_timer_is_no_overload() -> None:
    delays = HopDelays()
    delays.observe_lag(0.4)
    assert delays.ratio() < 1
