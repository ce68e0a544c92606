"""The bounds of an overload: a step that breaks one is named."""

from collections import Counter
from typing import Any

import pytest

from load.generator.histogram import of_seconds
from load.generator.ledger import Tally
from load.overload.step import HEADS, Step, problems, row


def step(load: float = 1.0, stored: float = 100.0, **measured: Any) -> Step:
    values: dict[str, Any] = {
        "refused": Counter(),
        "tally": Tally(accepted_delays=of_seconds(0.1)),
        "gateway_mib": 100.0,
    }
    return Step(
        load=load,
        offered=100 * load,
        accepted=stored,
        stored=stored,
        delivered=10 * stored,
        seconds=10,
        **(values | measured),
    )


def test_an_overload_that_refuses_the_excess_in_time_keeps_all_bounds() -> None:
    excess = step(
        3,
        refused=Counter(OVERLOADED=2_000),
        tally=Tally(accepted_delays=of_seconds(1.0), refused_delays=of_seconds(0.5)),
    )
    assert problems([step(0.25, 25), step(), excess]) == []


@pytest.mark.parametrize(
    ("measured", "problem"),
    [
        ({"lost": 3}, "3x: 3 deliveries of accepted messages are missing"),
        ({"unanswered": 2}, "3x: 2 sends were not answered"),
        ({"tally": Tally(refused_delays=of_seconds(2.5))}, "3x: an answer took 2.5 s"),
        ({"tally": Tally(accepted_delays=of_seconds(2.5))}, "3x: an answer took 2.5 s"),
        (
            {"tally": Tally(refused_deliveries=Counter(OVERLOADED=1))},
            "3x: 1 deliveries are of messages refused as OVERLOADED",
        ),
        ({"tally": Tally(doubled=2)}, "3x: 2 deliveries are doubled"),
        ({"tally": Tally(unexpected=2)}, "3x: 2 deliveries are of messages that nobody sent"),
        ({"tally": Tally(disconnects=1)}, "3x: 1 sockets were closed"),
        ({"refused": Counter(UNAVAILABLE=31)}, "3x: 31 sends were refused with another code"),
        ({"stored": 90.0}, "3x: 90/s are stored, of 100/s at 1x"),
        ({"gateway_mib": 200.0}, "a gateway grew from 100 to 200 MiB"),
    ],
)
def test_a_broken_bound_is_named(measured: dict[str, Any], problem: str) -> None:
    assert problems([step(), step(3, **measured)]) == [problem]


def test_deliveries_of_messages_whose_fate_was_unknown_are_no_problem() -> None:
    unknown = step(3, refused=Counter(UNAVAILABLE=3), tally=Tally(refused_deliveries=Counter(UNAVAILABLE=30)))
    assert problems([step(), unknown]) == []


def test_a_row_has_a_cell_for_each_column() -> None:
    assert row(step()).split()[0] == "1x"
    assert len(row(step())) >= sum(width for _, width in HEADS)
