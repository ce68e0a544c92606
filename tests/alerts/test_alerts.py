"""Each recorded fault fires its alert and no other one, by promtool with the series of real faults."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients.alert_rules import RULES, alerts, metrics_in, promtool
from faults import alert_table, table
from faults.recording import SERIES
from faults.row import Row

AUTHORED = {
    "partitions-uneven": ("ParleyPartitionsUneven",),
}
"""Series that were written by hand, and their alerts."""
RECORDED: tuple[Row, ...] = tuple(
    row for row in (*alert_table.ROWS, *table.ROWS) if (SERIES / f"{row.name}.yml").exists()
)
EXPECTED = {**{row.name: row.alerts for row in RECORDED}, **AUTHORED}
PENDING_OR_FIRING = "group by (alertname) (ALERTS)"
FIRED = 'group by (alertname) (max_over_time(ALERTS{alertstate="firing"}[1d]))'


def recorded(name: str) -> dict[str, Any]:
    series: dict[str, Any] = yaml.safe_load((SERIES / f"{name}.yml").read_text())
    return series


def promtool_test(name: str, fired: Collection[str], asked: str) -> dict[str, Any]:
    """Return promtool's test that these alerts fire at any time of a recording, and no others."""
    series = recorded(name)
    labels = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(fired)]
    return {
        "rule_files": [str(RULES)],
        "evaluation_interval": series["interval"],
        "tests": [
            {
                "interval": series["interval"],
                "input_series": series["input_series"],
                "promql_expr_test": [{"expr": asked, "eval_time": series["end"], "exp_samples": labels}],
            }
        ],
    }


def complaint(directory: Path, name: str, fired: Collection[str], asked: str = FIRED) -> str:
    """Return what promtool complains about; empty if exactly these alerts fire."""
    file = directory / f"{name}.yml"
    file.write_text(yaml.safe_dump(promtool_test(name, fired, asked)))
    done = promtool("test", "rules", str(file))
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_prometheus_takes_the_rules() -> None:
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", EXPECTED)
def test_a_fault_fires_its_alert_and_no_other(name: str, tmp_path: Path) -> None:
    assert complaint(tmp_path, name, EXPECTED[name]) == ""


def test_no_alert_is_left_pending_when_nothing_is_broken(tmp_path: Path) -> None:
    assert complaint(tmp_path, "quiet", [], PENDING_OR_FIRING) == ""


def test_an_alert_that_does_not_fire_is_reported(tmp_path: Path) -> None:
    assert "ParleyDeadLetters" in complaint(tmp_path, "quiet", ["ParleyDeadLetters"])


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_each_alert_is_fired_by_a_series(alert: dict[str, Any]) -> None:
    assert [name for name, fired in EXPECTED.items() if alert["alert"] in fired]


def test_each_metric_of_the_rules_was_exported_by_a_service() -> None:
    read = {name for alert in alerts() for name in metrics_in(alert["expr"])}
    written = {
        series["series"].partition("{")[0]
        for row in RECORDED
        for series in recorded(row.name)["input_series"]
    }
    assert read - written == set()


def test_each_recording_belongs_to_a_row() -> None:
    assert {file.stem for file in SERIES.glob("*.yml")} == set(EXPECTED)
