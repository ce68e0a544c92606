"""Outcomes as a table: aligned text, or Markdown."""

from collections.abc import Iterable, Sequence

from faults.row import Outcome

HEAD = (
    "fault",
    "what was done",
    "accepted",
    "lost",
    "doubled",
    "holes",
    "unread wrong",
    "longest silence",
    "recovered after",
    "passed",
)
PASSED, FAILED = "yes", "failed"
"""The last cell of a row."""


def text(outcomes: Iterable[Outcome]) -> str:
    """Return aligned columns, and below them the reasons of rows that have not passed."""
    outcomes = list(outcomes)
    lines = [HEAD, *map(cells, outcomes)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    rows = ["  ".join(map(_justified, line, widths, range(len(HEAD)))).rstrip() for line in lines]
    return "\n".join([*rows, *_reasons(outcomes)])


def markdown(outcomes: Iterable[Outcome]) -> str:
    """Return a Markdown table, and below it the reasons of rows that have not passed."""
    outcomes = list(outcomes)
    return "\n".join([markdown_table(map(cells, outcomes)), *_reasons(outcomes)])


def markdown_table(rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table of rows that are cells already."""
    dashes = ("---", "---", *["--:"] * (len(HEAD) - 3), "---")
    return "\n".join(f"| {' | '.join(row)} |" for row in (HEAD, dashes, *rows))


def line(outcome: Outcome) -> str:
    """Return one outcome as a sentence."""
    named = zip(HEAD[2:-1], cells(outcome)[2:-1], strict=True)
    figures = ", ".join(f"{name} {figure}" for name, figure in named)
    return f"{'passed' if outcome.passed else 'NOT passed'} in {outcome.seconds:.0f} s: {figures}"


def cells(outcome: Outcome) -> tuple[str, ...]:
    """Return the cells of an outcome; a dash stands for an unknown figure."""
    counts = (outcome.accepted, outcome.lost, outcome.doubled, outcome.holes, outcome.unread_wrong)
    return (
        outcome.row.fault,
        outcome.row.done,
        *("-" if count is None else f"{count:,}" for count in counts),
        *("-" if span is None else f"{span:.1f} s" for span in (outcome.silence, outcome.recovery)),
        PASSED if outcome.passed else FAILED,
    )


def _justified(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if 2 <= column < len(HEAD) - 1 else cell.ljust(width)


def _reasons(outcomes: Iterable[Outcome]) -> list[str]:
    failed = [outcome for outcome in outcomes if not outcome.passed]
    reasons = [f"{outcome.row.name}: {reason}" for outcome in failed for reason in outcome.reasons]
    return ["", "Not passed:", *(f"- {reason}" for reason in reasons)] if reasons else []
