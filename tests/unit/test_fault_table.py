"""The fault table of tests/README.md has the rows of `faults.table`, all passed; runs write their rows."""

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

import pytest

from faults import document
from faults.__main__ import options_of
from faults.row import Outcome, Row
from faults.table import ROWS

EARLIER, LATER = "Version 1.0.0, 2026-01-02, 2 cores", "Version 1.1.0, 2026-03-04, 4 cores"
AROUND = "Before.\n\n<!-- faults -->\n{}\n<!-- /faults -->\n\nAfter.\n"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(AROUND.format("no table yet"))
    return path


def outcomes(rows: Sequence[Row] = ROWS, *, accepted: int = 1000) -> list[Outcome]:
    return [Outcome(row=row, accepted=accepted, lost=0, silence=0.25) for row in rows]


TABLES = pytest.mark.parametrize("table", [document.ONE_HOST, document.CLUSTER], ids=attrgetter("name"))


@TABLES
def test_the_document_has_the_rows_of_the_table_in_order(table: document.Table) -> None:
    rows = [(row.fault, row.done) for row in table.rows]
    assert [each.cells[:2] for each in document.read(table=table)] == rows


@TABLES
def test_every_row_of_the_document_has_passed_in_a_named_run(table: document.Table) -> None:
    rows = document.read(table=table)
    assert {each.fault: each.passed for each in rows if each.passed != "yes"} == {}
    assert [each.fault for each in rows if not each.origin.startswith("Version ")] == []


def test_the_readme_gives_the_number_of_faults() -> None:
    readme = Path(__file__).parents[2] / "README.md"
    assert f"- {len(ROWS)} faults under load: " in readme.read_text()


@TABLES
def test_no_two_rows_have_the_same_label(table: document.Table) -> None:
    assert len({row.fault for row in table.rows}) == len(table.rows)


def test_a_whole_run_is_written_with_its_figures_and_one_origin(page: Path) -> None:
    document.write(outcomes(), EARLIER, page)
    assert f"<!-- faults -->\n{EARLIER}.\n\n| fault |" in page.read_text()
    assert {each.cells[2:] for each in document.read(page)} == {
        ("1,000", "0", "-", "-", "-", "0.2 s", "-", "yes")
    }


def test_a_partial_run_replaces_its_rows_and_keeps_the_others(page: Path) -> None:
    document.write(outcomes(), EARLIER, page)
    document.write(outcomes(ROWS[3:5], accepted=7), LATER, page)
    rows = document.read(page)
    assert [each.cells[2] for each in rows] == ["1,000"] * 3 + ["7"] * 2 + ["1,000"] * (len(ROWS) - 5)
    assert [each.origin for each in rows] == [EARLIER] * 3 + [LATER] * 2 + [EARLIER] * (len(ROWS) - 5)


def test_repeated_partial_runs_end_with_one_origin(page: Path) -> None:
    document.write(outcomes(), EARLIER, page)
    document.write(outcomes(ROWS[:4]), LATER, page)
    document.write(outcomes(ROWS[4:]), LATER, page)
    whole = page.read_text()
    document.write(outcomes(), LATER, page)
    assert page.read_text() == whole


def test_a_failed_row_is_written_as_failed(page: Path) -> None:
    document.write([Outcome(row=ROWS[0], accepted=5, lost=1, reasons=["one is lost"])], EARLIER, page)
    first = document.read(page)[0]
    assert (first.cells[2:4], first.passed) == (("5", "1"), "failed")


def test_a_row_without_figures_is_written_as_not_run(page: Path) -> None:
    document.write(outcomes(ROWS[1:2]), EARLIER, page)
    passed = [each.passed for each in document.read(page)]
    assert passed == ["not run", "yes", *["not run"] * (len(ROWS) - 2)]


def test_the_text_around_the_table_stays(page: Path) -> None:
    document.write(outcomes(), EARLIER, page)
    before, after = page.read_text().split(f"{EARLIER}.")
    assert before == "Before.\n\n<!-- faults -->\n"
    assert after.endswith("|\n<!-- /faults -->\n\nAfter.\n")


def test_a_page_without_the_comments_is_refused(page: Path) -> None:
    page.write_text("No table here.\n")
    with pytest.raises(LookupError, match="has no comments"):
        document.write(outcomes(), EARLIER, page)


@TABLES
def test_each_row_of_a_table_is_chosen_by_its_name(table: document.Table) -> None:
    cluster = ["--cluster"] if table is document.CLUSTER else []

    for row in table.rows:
        assert options_of([*cluster, "--rows", row.name]).rows == [row]
