"""`parley doctor` alone finds each fault that an operator has to end, by its transcripts of real faults."""

import re

import pytest

from faults import alert_table
from faults.examinations import TRANSCRIPTS
from faults.recording import SERIES
from faults.row import Row

FAULTS = [row for row in alert_table.ROWS if row.name != "quiet" and (SERIES / f"{row.name}.yml").exists()]
LINE = re.compile(r"(?P<level>warning|error) +(?P<check>\S+ \(\w+\)): (?P<text>[A-Z0-9].+\.)")


def transcript(row: Row) -> str:
    return (TRANSCRIPTS / f"{row.name}.txt").read_text()


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row.name)
def test_the_doctor_finds_the_fault(row: Row) -> None:
    checks = [found["check"] for line in transcript(row).splitlines() if (found := LINE.fullmatch(line))]

    assert row.finding
    assert any(row.finding in check for check in checks), transcript(row)


def test_the_doctor_finds_nothing_when_nothing_is_broken() -> None:
    assert (TRANSCRIPTS / "quiet.txt").read_text() == ""


def test_each_transcript_belongs_to_a_row() -> None:
    assert {file.stem for file in TRANSCRIPTS.glob("*.txt")} == {row.name for row in FAULTS} | {"quiet"}
