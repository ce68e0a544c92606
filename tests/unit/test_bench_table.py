"""The table of the comparison: medians, spreads, ratios, and a line of history."""

from pathlib import Path

import pytest

from load.bench import history, table
from load.bench.scenes import SCENES, Figures
from load.bench.targets import GUIDES, PARLEY

SCENE = "closed"


def figures(rate: float, missing: float = 0, refused: float = 0) -> Figures:
    return {
        "messages/s": rate,
        "us a message": 1e6 / rate,
        "missing": missing,
        "refused": refused,
        "wrong": 0,
    }


RESULTS = {
    SCENE: {
        PARLEY: [figures(3_000), figures(1_000), figures(5_000)],
        GUIDES: [figures(500), figures(2_000), figures(1_000)],
    }
}


def test_the_table_shows_medians_spreads_and_parleys_part_of_the_guides_stack() -> None:
    line = next(line for line in table.lines(RESULTS) if line.startswith("  messages/s"))
    assert "3,000 (1,000 to 5,000)" in line
    assert "1,000 (500 to 2,000)" in line
    assert line.endswith("3.00")


def test_a_target_alone_has_no_ratio_and_complaints_of_nothing_are_left_out() -> None:
    lines = table.lines({SCENE: {PARLEY: [figures(1_000)]}})
    assert lines[1] == SCENES[SCENE][0]
    assert [line.split()[-1] for line in lines[2:]] == ["1,000", "1,000"]


@pytest.mark.parametrize("name", ["missing", "refused"])
def test_a_loss_in_any_round_is_a_problem(name: str) -> None:
    rounds = [figures(1_000), figures(1_000, **{name: 2})]
    assert table.problems({SCENE: {GUIDES: rounds}}) == [f"{SCENES[SCENE][0]}, guides' stack: 2 {name}"]


def test_all_scenes_without_loss_have_no_problem() -> None:
    assert table.problems(RESULTS) == []


def test_a_line_of_history_has_a_cell_for_each_column_and_names_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "HISTORY.md"
    file.write_text(history.head())
    monkeypatch.setattr(history, "HISTORY", file)
    history.append(table.medians(RESULTS), ["--scenes", SCENE, "--write"])
    head, _, *lines = file.read_text().splitlines()
    assert [line.count("|") for line in lines] == [head.count("|")] * 2
    assert "| parley | 3,000 | 333 |" in lines[0]
    assert lines[0].endswith("| `make bench ARGS='--scenes closed'` |")


def test_the_history_in_the_repository_has_the_columns_of_the_bench() -> None:
    assert history.head().splitlines()[0] in history.HISTORY.read_text("utf-8").splitlines()


def test_each_column_of_the_history_is_of_a_known_scene() -> None:
    assert {scene for _, scene, _ in history.COLUMNS} <= set(SCENES)
