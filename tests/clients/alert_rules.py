"""The alert rules of deploy/observe/alerts.yml, and the promtool that checks them."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "observe/alerts.yml"
METRIC = re.compile(r"\b(?:parley_\w+|process_\w+|python_\w+|up)\b(?!=)")


@cache
def alerts() -> Sequence[dict[str, Any]]:
    """Return the rules in their order."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def metrics_in(expression: str) -> set[str]:
    """Return the names of the metrics in an expression of PromQL."""
    return set(METRIC.findall(re.sub(r'"[^"]*"', '""', expression)))


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Prometheus' promtool."""
    program = shutil.which("promtool")
    assert program, "promtool is missing: make test installs Debian's package prometheus"
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)
