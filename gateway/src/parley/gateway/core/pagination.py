"""Pages of lists: the requests, the results, and the cursors between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from parley.gateway.core.errors import Invalid
from parley.shared.model import Conversation

T = TypeVar("T")
U = TypeVar("U")

SortKey = tuple[datetime, str]
"""The position of an entry in its list: a time, such as a conversation's last activity, and an id."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page of a list: page `number` of `limit` entries, below the cursor `before` or above `after`."""

    limit: int
    number: int = 1
    before: str | None = None
    after: str | None = None

    @property
    def ascending(self) -> bool:
        """Whether the page is read upwards from the cursor `after`, not down from `before` or the top."""
        return self.after is not None

    @property
    def skipped(self) -> int:
        """The number of entries between the cursor and the page."""
        return (self.number - 1) * self.limit

    def start(self) -> SortKey | None:
        """Return the position of the cursor, which the page leaves out. Raises `Invalid`."""
        if self.after is not None:
            return read_cursor("after", self.after)
        return read_cursor("before", self.before) if self.before is not None else None


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


def page_of(found: Sequence[Conversation], request: PageRequest, total: int) -> Page[Conversation]:
    """Return the requested page, most recent first.

    Args:
        found: The page's conversations in the direction of reading, and one more if there is a next page.
        request: The request that they answer.
        total: The number of conversations in the list.
    """
    items = found[: request.limit]
    cursor = None
    if len(found) > request.limit:
        cursor = write_cursor(items[-1].last_activity_at, items[-1].id)
    recent_first = items[::-1] if request.ascending else items
    return Page(tuple(recent_first), cursor, total, request.limit, request.number)


def write_cursor(at: datetime, entry_id: str) -> str:
    """Return the cursor of an entry."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat()}Z_{entry_id}"


def read_cursor(field: str, text: str) -> SortKey:
    """Return the position that a cursor in this field of a request names. Raises `Invalid`."""
    at, _, entry_id = text.partition("_")
    try:
        last_activity = datetime.fromisoformat(at)
        if last_activity.tzinfo is None:
            raise ValueError("no time zone")
        # MongoDB takes no text with half a surrogate pair. This raises a ValueError for one.
        entry_id.encode()
        return last_activity.astimezone(UTC), entry_id
    except (ValueError, OverflowError):
        raise Invalid.field(field, "Malformed cursor.") from None
