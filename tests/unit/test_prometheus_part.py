"""Prometheus' configuration names the rules, and its targets are the planned gateways and workers."""

import json
from pathlib import Path

import pytest

from clients.alert_rules import RULES
from parley.stack.parts.part import Part, Tier
from parley.stack.parts.prometheus import prometheus
from parley.stack.paths import StackPaths
from parley.stack.reconciliation import tier_of
from parley.stack.state import StackState

PORT = 10_301


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StackPaths:
    """Return paths of a stack on a machine where some `prometheus` is installed."""
    program = tmp_path / "bin/prometheus"
    program.parent.mkdir()
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return StackPaths(tmp_path / "run")


def part(paths: StackPaths, *gateways: str) -> Part:
    addresses = {name: f"198.18.0.1:{PORT + number}" for number, name in enumerate(gateways, 1)}
    return prometheus(paths, PORT, {"parley-gateway": addresses, "parley-worker": {}})


def test_prometheus_reads_the_rules_and_the_targets_of_each_job(paths: StackPaths) -> None:
    part(paths, "gateway-1")
    config = json.loads((paths.config / "prometheus.json").read_text())
    assert config["rule_files"] == [str(RULES)]
    assert [each["job_name"] for each in config["scrape_configs"]] == ["parley-gateway", "parley-worker"]
    for each in config["scrape_configs"]:
        (file,) = each["file_sd_configs"][0]["files"]
        assert Path(file).is_file()


def test_the_targets_follow_the_plan_without_a_restart(paths: StackPaths) -> None:
    one, two = part(paths, "gateway-1"), part(paths, "gateway-1", "gateway-2")
    targets = json.loads((paths.config / "targets/parley-gateway.json").read_text())
    assert targets == [
        {"targets": ["198.18.0.1:10302"], "labels": {"instance": "gateway-1"}},
        {"targets": ["198.18.0.1:10303"], "labels": {"instance": "gateway-2"}},
    ]
    assert (one.argv, one.env) == (two.argv, two.env)


def test_prometheus_listens_on_the_loopback_and_starts_last(paths: StackPaths) -> None:
    assert f"--web.listen-address=127.0.0.1:{PORT}" in part(paths).argv
    assert part(paths).tier is tier_of("prometheus") is Tier.MONITORING


def test_a_stack_keeps_whether_it_is_observed(tmp_path: Path) -> None:
    paths = StackPaths(tmp_path)
    fresh = StackState.load(paths)
    assert not fresh.observed
    fresh.with_monitoring(True).save(paths)
    assert StackState.load(paths).with_monitoring(None).observed
    assert not StackState.load(paths).with_monitoring(False).observed
