"""deploy/RUNBOOK.md has a section for each alert of deploy/observe/alerts.yml, which is the source of both.

`python tests/unit/test_runbook.py` writes the sections into the page.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))

from clients.alert_rules import alerts  # noqa: E402

RUNBOOK = ROOT / "deploy/RUNBOOK.md"
SECTIONS = re.compile(r"(?<=<!-- alerts -->\n).*(?=\n<!-- /alerts -->)", re.S)
ANNOTATIONS = {"summary", "cause", "impact", "action", "runbook_url"}
SEVERITIES = ("critical", "warning", "info")
Alert = dict[str, Any]


def sections() -> str:
    """Return the sections of all alerts, in the order of the rules."""
    return "\n\n".join(map(_section, alerts()))


def _section(alert: Alert) -> str:
    notes = alert["annotations"]
    held = f", for {alert['for']}" if "for" in alert else ""
    return "\n".join(
        [
            f"### {alert['alert']}",
            "",
            f"{alert['labels']['severity'].capitalize()}{held}:",
            "",
            "```",
            alert["expr"],
            "```",
            "",
            f"- **What broke.** {notes['cause']}",
            f"- **What users see.** {notes['impact']}",
            f"- **What to do.** {notes['action']}",
        ]
    )


def test_the_runbook_has_the_sections_of_the_rules() -> None:
    found = SECTIONS.search(RUNBOOK.read_text())
    assert found is not None
    assert found[0] == sections(), "write them: python tests/unit/test_runbook.py"


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_has_its_severity_and_leads_to_its_section(alert: Alert) -> None:
    assert alert["labels"]["severity"] in SEVERITIES
    assert set(alert["annotations"]) == ANNOTATIONS
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert (ROOT / page) == RUNBOOK
    assert f"### {anchor}\n" in RUNBOOK.read_text().lower().replace(anchor.lower(), anchor)


@pytest.mark.parametrize("named", [lambda text: text, str.lower], ids=["as it is", "lower case"])
def test_no_two_alerts_share_a_name(named: Callable[[str], str]) -> None:
    names = [named(alert["alert"]) for alert in alerts()]
    assert len(set(names)) == len(names) > 10


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_waits_for_earlier_ones_only(alert: Alert) -> None:
    order = [each["alert"] for each in alerts()]
    named = re.findall(r"Parley\w+", alert["expr"])
    assert [name for name in named if name not in order[: order.index(alert["alert"])]] == []


if __name__ == "__main__":
    RUNBOOK.write_text(SECTIONS.sub(lambda _: sections(), RUNBOOK.read_text()))
