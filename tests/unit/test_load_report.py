"""The report of a load: its verdict, its figures, and a page that needs nothing else."""

import re
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest

from load.generator.fleet import Drained
from load.generator.histogram import of_seconds
from load.generator.ledger import Balance, Tally
from load.generator.loops import due_after
from load.report import summary
from load.report.chart import Chart, Line, bars, ticks
from load.report.page import page
from load.report.summary import Incident, LoadResult
from load.sampler import CLIENTS, Sample

BEGAN = 100.25
MIB = 1 << 20


def result(balance: Balance | None = None, **counts: Any) -> LoadResult:
    tally = Tally(sent=20, accepted=20, stored=20, delivered=200, delivered_delays=of_seconds(0.01), **counts)
    return LoadResult(
        settings={"sockets": 10},
        began=BEGAN,
        seconds=2.0,
        connected_in=0.5,
        tally=tally,
        by_second={
            100: Tally(delivered_delays=of_seconds(0.01)),
            101: Tally(delivered_delays=of_seconds(0.3)),
        },
        samples=[
            Sample(99.0, {"gateway-1": 5.0, CLIENTS: 5.0}, {"gateway-1": 50 * MIB}, 0),
            Sample(101.0, {"gateway-1": 0.5, "mongodb": 0.25, CLIENTS: 1.0}, {"gateway-1": 51 * MIB}, 8),
            Sample(102.0, {"gateway-1": 0.5, "mongodb": 0.25, CLIENTS: 1.0}, {"gateway-1": 60 * MIB}, 4),
        ],
        drained=Drained(balance or Balance(), 0, 104.0, 0.5),
        idle_memory={"gateway-1": 50 * MIB},
        incidents=[Incident(101.0, "gateway-1 is killed", 5)],
    )


def test_a_run_in_which_all_is_accounted_for_has_no_problem() -> None:
    assert result().problems == []


@pytest.mark.parametrize(
    ("balance", "counts", "problem"),
    [
        (Balance(missing=3), {}, "3 deliveries are missing"),
        (Balance(unanswered=1), {}, "1 sends were not answered"),
        (Balance(unstored=2), {}, "2 accepted messages were not confirmed as stored"),
        (None, {"doubled": 4}, "4 deliveries are doubled"),
        (None, {"unexpected": 5}, "5 deliveries are of messages that nobody sent"),
    ],
)
def test_a_loss_is_a_problem(balance: Balance | None, counts: dict[str, int], problem: str) -> None:
    assert result(balance, **counts).problems == [problem]
    assert problem in page(result(balance, **counts), "make load")


def test_processor_time_counts_from_the_first_message_and_apart_for_the_clients() -> None:
    assert result().processor == {"gateway-1": 1.0, "mongodb": 0.5, CLIENTS: 2.0}
    assert summary.server_us(result()) == pytest.approx(1.5e6 / 20)


def test_memory_per_socket_is_that_at_most_sockets_above_the_idle_one() -> None:
    assert result().kib_per_socket == pytest.approx(1024 / 8)


def test_an_incident_has_the_delays_since_and_the_time_until_all_were_back() -> None:
    incident = summary.totals(result())["incidents"][0]
    assert incident["all back after s"] == 3.0
    assert incident["delivered ms to the others since"]["p50"] == pytest.approx(300, abs=0.1)


def test_figures_are_json() -> None:
    found = orjson.loads(orjson.dumps([summary.totals(result()), summary.seconds(result())]))
    assert [second["second"] for second in found[1]] == [0, 1]


def test_the_page_needs_nothing_from_elsewhere_and_its_pictures_are_well_formed() -> None:
    text = page(result(), "make load ARGS='<b>'")
    assert not re.search(r"(?:src|href)=|<script|url\(", text)
    assert "<b>" not in text
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) == 9
    for picture in pictures:
        ElementTree.fromstring(picture)


@pytest.mark.parametrize("is_logarithmic", [True, False])
@pytest.mark.parametrize("points", [[], [(0, 0)], [(0, 5)], [(-3, 0.001), (10, 12_345)]])
def test_a_chart_is_drawn_within_its_frame(points: list[tuple[float, float]], is_logarithmic: bool) -> None:
    picture = Chart("Delays & more", "ms", [Line("p50", points)], [(0, "now")], is_logarithmic).svg()
    ElementTree.fromstring(picture)
    drawn = re.findall(r'points="([^"]*)"', picture)[0].split()
    for x, y in (map(float, place.split(",")) for place in drawn):
        assert 0 <= x <= 760
        assert 0 <= y <= 250


def test_bars_of_nothing_are_drawn() -> None:
    ElementTree.fromstring(bars("Time", "us", [("gateway-1", 0.0)]))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-12, 40), (0, 123_456), (0, 0.02), (3, 4)])
def test_ticks_are_a_few_within_the_range(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 7
    assert low <= found[0] + 1e-9
    assert found[-1] <= high


def test_messages_are_due_evenly_after_a_rate_has_risen_evenly() -> None:
    due = [due_after(number, 100.0, 2.0) for number in range(300)]
    assert due == sorted(due)
    assert due[0] == 0.0
    assert due[25] == pytest.approx(1.0)
    assert due[100] == pytest.approx(2.0)
    assert due[200] - due[199] == pytest.approx(0.01)
    assert due_after(50, 100.0, 0.0) == 0.5
