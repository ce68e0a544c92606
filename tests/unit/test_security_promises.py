"""Every promise of SECURITY.md names existing tests."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [line for line in (ROOT / "SECURITY.md").read_text().splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[1].strip() for row in ROWS])
def test_a_promise_names_existing_tests(row: str) -> None:
    named = re.findall(r"`(tests/\S+\.py)`", row.split("|")[3])
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
