"""Grafana's dashboard is made from its table, and asks for metrics that gateways and workers export."""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.metrics import MetricWrapperBase

from clients.alert_rules import alerts, metrics_in
from parley.gateway import gauges
from parley.shared import metrics
from parley.shared.tallies import Counts, Sizes, SizesBy

SOURCE = Path(__file__).parents[2] / "deploy/observe/dashboard.py"
MADE = SOURCE.with_name("dashboard.json")
OF_THE_CLIENT_LIBRARY = {
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
}
OF_PROMETHEUS = {"up"}


def exported() -> set[str]:
    """Return the names of all samples that our metrics may have."""
    found = [each for module in (metrics, gauges) for each in vars(module).values()]
    names = {each.describe()[0].name for each in found if isinstance(each, MetricWrapperBase)}
    names |= {each.name for each in found if isinstance(each, Counts | Sizes | SizesBy)}
    parts = ("", "_total", "_info", "_bucket", "_count", "_sum")
    return {f"{name}{part}" for name in names for part in parts} | OF_THE_CLIENT_LIBRARY | OF_PROMETHEUS


def graphs() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(MADE.read_text())["panels"]
    return [panel for panel in panels if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    for graph in graphs():
        yield from (target["expr"] for target in graph["targets"])


def test_the_file_is_made_from_its_table() -> None:
    made = runpy.run_path(str(SOURCE))["dashboard"]()
    assert json.loads(MADE.read_text()) == made, "write it: python deploy/observe/dashboard.py"


def test_each_metric_of_the_dashboard_is_exported() -> None:
    asked = {name for expression in expressions() for name in metrics_in(expression)}
    assert len(asked) > 30
    assert asked - exported() == set()


def test_each_metric_of_the_rules_is_exported() -> None:
    asked = {name for alert in alerts() for name in metrics_in(alert["expr"])}
    assert len(asked) > 10
    assert asked - exported() == set()


def test_no_two_panels_overlap() -> None:
    taken = [
        (place["x"] + x, place["y"] + y)
        for place in (panel["gridPos"] for panel in json.loads(MADE.read_text())["panels"])
        for x in range(place["w"])
        for y in range(place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
