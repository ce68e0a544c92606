"""Places in a list of conversations, the liveliest last: those that a page has, and the next cursor."""

from collections.abc import Sequence
from datetime import UTC, datetime

from parley.gateway.core.errors import Invalid
from parley.gateway.core.ports import Cut

Place = tuple[datetime, str]
"""Where a conversation stands: its last activity, and its id."""


def cut_out(every: Sequence[Place], cut: Cut) -> tuple[list[Place], str | None]:
    """The part of ascending places that is wanted, the liveliest first, and its cursor if there is more.

    Raises:
        Invalid: what is given as a cursor is none.
    """
    skipped = (cut.number - 1) * cut.limit
    if cut.after is not None:
        start = _read_cursor("after", cut.after)
        rest = [place for place in every if place > start][skipped:]
        shown, edge = rest[: cut.limit], -1
    else:
        end = _read_cursor("before", cut.before) if cut.before is not None else None
        rest = [place for place in every if end is None or place < end]
        rest = rest[: max(0, len(rest) - skipped)]
        shown, edge = rest[-cut.limit :], 0
    return shown[::-1], _write_cursor(*shown[edge]) if len(rest) > cut.limit else None


def _write_cursor(at: datetime, conversation_id: str) -> str:
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat()}Z_{conversation_id}"


def _read_cursor(name: str, text: str) -> Place:
    at, _, last_id = text.partition("_")
    try:
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError("a time of nowhere")
        return moment.astimezone(UTC), last_id
    except (ValueError, OverflowError):
        raise Invalid.field(name, "Not a cursor.") from None
