"""The table that `make status` prints."""

from collections.abc import Sequence

from parley.stack.stack import PartStatus

_HEAD = ("PART", "STATE", "PID", "PORT", "UPTIME", "READY")


def render(rows: Sequence[PartStatus]) -> str:
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def _cells(row: PartStatus) -> tuple[str, ...]:
    ready = "yes" if row.ready else ": ".join(filter(None, ("no", ", ".join(row.problems))))
    return (row.name, row.state.lower(), str(row.pid or "-"), str(row.port or "-"), _span(row.uptime), ready)


def _span(seconds: int) -> str:
    """Hours, minutes and seconds, as 1:02:03."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
