"""The fault tables of tests/README.md: `make faults ARGS="--write"` writes them, a unit test reads them."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from faults import cluster_table, render
from faults.row import Outcome, Row
from faults.table import ROWS

PAGE = Path(__file__).resolve().parents[1] / "README.md"
NOT_RUN = "not run"
"""The last cell of a row without figures."""


@dataclass(frozen=True)
class Table:
    """A table in the document, between the comments `name` and `/name`, each on a line of its own."""

    name: str
    rows: Sequence[Row]

    @property
    def place(self) -> re.Pattern[str]:
        return re.compile(rf"(?<=<!-- {self.name} -->\n).*?(?=\n<!-- /{self.name} -->)", re.S)


ONE_HOST, CLUSTER = Table("faults", ROWS), Table("cluster faults", cluster_table.ROWS)


@dataclass(frozen=True)
class Measurement:
    """The cells of a row in the document, and the version, date and machine of its run."""

    cells: tuple[str, ...]
    origin: str

    @property
    def fault(self) -> str:
        return self.cells[0]

    @property
    def passed(self) -> str:
        return self.cells[-1]


def write(
    outcomes: Iterable[Outcome], origin: str | None = None, page: Path = PAGE, table: Table = ONE_HOST
) -> None:
    """Write the figures of these outcomes into the page, and keep those of the other rows.

    Args:
        outcomes: The rows that were run.
        origin: The version, date and machine of the run; by default those of now and here.
        page: A Markdown file with the table's comments.
        table: The table that the rows are of.
    """
    origin = origin or this_origin()
    known = {each.fault: each for each in read(page, table)}
    known |= {each.row.fault: Measurement(render.cells(each), origin) for each in outcomes}
    lines = [*_origins(known, table), "", render.markdown_table(_cells(row, known) for row in table.rows)]
    page.write_text(table.place.sub(lambda _: "\n".join(lines), page.read_text()))


def read(page: Path = PAGE, table: Table = ONE_HOST) -> list[Measurement]:
    """Return the rows of the page's table in order; the origin of a row that was not run is empty.

    Raises:
        LookupError: The page has no table between the table's comments.
    """
    found = table.place.search(page.read_text())
    if found is None:
        raise LookupError(f"{page} has no comments `{table.name}` and `/{table.name}` around its table")
    lines = found[0].splitlines()
    rows = [tuple(line.strip("| ").split(" | ")) for line in lines if line.startswith("|")][2:]
    sources = _read_origins(line for line in lines if line and not line.startswith("|"))
    return [Measurement(cells, sources.get(cells[0], sources.get("", ""))) for cells in rows]


def this_origin() -> str:
    """Return version, date and machine of a run that takes place now."""
    today = datetime.now(UTC).date()
    return f"Version {version('parley-shared')}, {today}, {os.cpu_count()} cores"


def _cells(row: Row, known: Mapping[str, Measurement]) -> Sequence[str]:
    return known[row.fault].cells if row.fault in known else (*render.cells(Outcome(row=row))[:-1], NOT_RUN)


def _origins(known: Mapping[str, Measurement], table: Table) -> list[str]:
    """Return a line for each origin, with the names of its faults unless there is only one origin."""
    faults: dict[str, list[str]] = {}
    for row in table.rows:
        if row.fault in known and known[row.fault].passed != NOT_RUN:
            faults.setdefault(known[row.fault].origin, []).append(row.fault)
    if len(faults) == 1:
        return [f"{origin}." for origin in faults]
    return [f"- {origin}: {'; '.join(names)}." for origin, names in faults.items()]


def _read_origins(lines: Iterable[str]) -> dict[str, str]:
    """Return the origin of each fault, and under an empty name that of all faults."""
    parts = [line.removeprefix("- ").removesuffix(".").partition(": ") for line in lines]
    return {fault: origin for origin, _, faults in parts for fault in faults.split("; ")}
