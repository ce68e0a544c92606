"""README.md and deploy/README.md name what exists: settings, metrics, events, paths, targets and files."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase as Collector

from parley.gateway import gauges
from parley.gateway.settings import Settings as GatewaySettings
from parley.persistence_worker.settings import Settings as WorkerSettings
from parley.shared import metrics
from parley.shared.settings import SharedSettings
from parley.shared.tallies import Counts, Sizes, SizesBy

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
OPERATIONS = (ROOT / "deploy/README.md").read_text()
SHARED = {f.name for f in fields(SharedSettings)}


def settings_table() -> str:
    """Return the table of settings that the code defines."""
    rows = ["| setting | of | default | what it is |", "|---|---|---|---|"]
    rows += [_row("both", f) for f in fields(SharedSettings)]
    for service, cls in (("gateway", GatewaySettings), ("worker", WorkerSettings)):
        rows += [_row(service, f) for f in fields(cls) if f.name not in SHARED]
    return "\n".join(rows)


def _row(service: str, f) -> str:  # type: ignore[no-untyped-def]
    joined = ",".join(f.default) if isinstance(f.default, tuple) else f.default
    default = ("on" if joined else "off") if isinstance(joined, bool) else joined
    shown = f"`{default}`" if default not in ("", None) else ""
    return f"| `{f.name.upper()}` | {service} | {shown} | {f.metadata['doc']} |"


def test_the_settings_table_matches_the_settings_classes() -> None:
    between = re.search(r"<!-- settings -->\n(.*)\n<!-- /settings -->", OPERATIONS, re.S)
    assert between is not None
    assert between[1] == settings_table()


def test_the_metrics_table_names_every_metric() -> None:
    ours = [metric for module in (metrics, gauges) for metric in vars(module).values()]
    names = {metric.describe()[0].name for metric in ours if isinstance(metric, Collector)}
    names |= {metric.name for metric in ours if isinstance(metric, Counts | Sizes | SizesBy)}
    assert len(names) > 10
    assert {name for name in names if name not in OPERATIONS} == set()


@pytest.mark.parametrize("page", [README, OPERATIONS], ids=["README.md", "deploy/README.md"])
def test_every_named_make_target_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"`?make ([a-z]+)", page))
    assert named - targets == set()


@pytest.mark.parametrize("page", [README, OPERATIONS], ids=["README.md", "deploy/README.md"])
def test_every_named_file_exists(page: str) -> None:
    named = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", page)
    sources = ("shared", "gateway", "persistence-worker", "deploy")
    places = [ROOT, ROOT / "gateway/src/parley/gateway", *(ROOT / each / "src/parley" for each in sources)]
    assert [n for n in named if not any((p / n).exists() for p in places)] == []
