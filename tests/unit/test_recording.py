"""Recordings of metrics have promtool's notation, and end a series where Prometheus would."""

from pathlib import Path

import pytest
import yaml

from faults import recording
from faults.recording import Recording, compressed, shown
from parley.stack import Stack

UP = 'up{instance="gateway-1",job="parley-gateway"}'
LAG = 'parley_lag_seconds{instance="worker-1",job="parley-worker"}'


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (["1", "1", "1"], "1x2"),
        (["1", "2"], "1 2"),
        (["_", "_", "5", "stale", "_"], "_x2 5 stale _x1"),
        ([], ""),
    ],
)
def test_repeated_values_are_written_once(values: list[str], written: str) -> None:
    assert " ".join(compressed(values)) == written


@pytest.mark.parametrize(
    ("value", "written"), [(3.0, "3"), (0.12345, "0.123"), (1795863031.57, "1795863031.570")]
)
def test_values_are_written_to_a_millisecond(value: float, written: str) -> None:
    assert shown(value) == written


def test_a_series_ends_with_a_stale_sample_and_begins_where_it_was_first_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "SERIES", tmp_path)
    record = Recording(Stack(tmp_path / "stack"))
    for samples in ({UP: 1.0}, {UP: 1.0, LAG: 2.5}, {UP: 1.0}, {UP: 0.0}):
        record._add(samples)
    record.write("row")
    written = yaml.safe_load((tmp_path / "row.yml").read_text())
    assert written == {
        "interval": "5s",
        "end": "20s",
        "input_series": [
            {"series": LAG, "values": "_x1 2.500 stale _x1"},
            {"series": UP, "values": "1x2 0"},
        ],
    }
