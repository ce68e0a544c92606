"""Pages of lists: the requests, the results, and the cursors between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from parley.gateway.core.errors import Invalid

T = TypeVar("T")
U = TypeVar("U")

SortKey = tuple[datetime, str]
"""The position of a conversation in its list: its last activity, and its id."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page of a list: page `number` of `limit` entries, below the cursor `before` or above `after`."""

    limit: int
    number: int = 1
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Page `number` of a list of `total` entries, and the cursor of the next page, if there is one."""

    items: tuple[T, ...]
    next_cursor: str | None
    total: int = 0
    limit: int = 0
    number: int = 1

    @property
    def pages(self) -> int:
        """The number of pages of `limit` entries."""
        return -(-self.total // self.limit) if self.limit else 0

    def with_items(self, items: Sequence[U]) -> "Page[U]":
        """Return the same page with other items, such as the views of its conversations."""
        return Page(tuple(items), self.next_cursor, self.total, self.limit, self.number)


def page_of(ascending: Sequence[SortKey], request: PageRequest) -> Page[SortKey]:
    """Select the requested page, most recent first.

    Args:
        ascending: All keys of the list, in ascending order.
        request: The page to select.

    Raises:
        Invalid: The cursor of the request is malformed.
    """
    skipped = (request.number - 1) * request.limit
    if request.after is not None:
        start = _read_cursor("after", request.after)
        rest = [key for key in ascending if key > start][skipped:]
        selected, edge = rest[: request.limit], -1
    else:
        end = _read_cursor("before", request.before) if request.before is not None else None
        rest = [key for key in ascending if end is None or key < end]
        rest = rest[: max(0, len(rest) - skipped)]
        selected, edge = rest[-request.limit :], 0
    cursor = _write_cursor(*selected[edge]) if len(rest) > request.limit else None
    return Page(tuple(selected[::-1]), cursor, len(ascending), request.limit, request.number)


def _write_cursor(last_activity: datetime, conversation_id: str) -> str:
    return f"{last_activity.astimezone(UTC).replace(tzinfo=None).isoformat()}Z_{conversation_id}"


def _read_cursor(field: str, text: str) -> SortKey:
    at, _, conversation_id = text.partition("_")
    try:
        last_activity = datetime.fromisoformat(at)
        if last_activity.tzinfo is None:
            raise ValueError("no time zone")
        return last_activity.astimezone(UTC), conversation_id
    except (ValueError, OverflowError):
        raise Invalid.field(field, "Malformed cursor.") from None
