"""Render the table that `make status` prints."""

from collections.abc import Sequence

from parley.stack.status import PartStatus

_HEADER = ("PART", "STATE", "PID", "ADDRESS", "UPTIME", "READY")


def render(rows: Sequence[PartStatus]) -> str:
    """Return the table, one line per part below the header."""
    cells = [_HEADER, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADER))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def _cells(row: PartStatus) -> tuple[str, ...]:
    ready = "yes" if row.ready else ": ".join(filter(None, ("no", ", ".join(row.problems))))
    return (
        row.name,
        row.state.lower(),
        str(row.pid or "-"),
        f"{row.address}:{row.port}" if row.port else "-",
        _duration(row.uptime),
        ready,
    )


def _duration(seconds: int) -> str:
    """Format seconds as h:mm:ss."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
