"""Marshmallow fields that all protocols share: ids, counts, timestamps."""

from datetime import datetime
from typing import Any

from marshmallow import fields, validate

from parley.shared.model import MAX_ID


class Id(fields.String):
    """An id: 1 to 128 characters, none of them a control character."""

    def __init__(self, **kwargs: Any) -> None:
        valid = [validate.Length(1, MAX_ID), validate.Regexp(r"[^\x00-\x1f\x7f]*\Z", error="Not an id.")]
        super().__init__(validate=valid, **kwargs)


class NumericId(Id):
    """An id that clients may also send as an integer; it is loaded as a string."""

    also = fields.Integer(strict=True, validate=validate.Range(-(2**63), 2**64 - 1))
    """The second accepted type, for the generated API documents."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return super()._deserialize(value, attr, data, **kwargs)


class Count(fields.Integer):
    """An integer given as a JSON number, not as a string or a fraction.

    Args:
        least: The smallest accepted value.
        most: The largest accepted value; 2**53 by default, the largest that JavaScript counts exactly.
    """

    def __init__(self, *, least: int = 0, most: int | None = None, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(least, most or 2**53), **kwargs)


def iso(at: datetime | None) -> str | None:
    """Format a UTC time as JavaScript's `toISOString` does: milliseconds and `Z`."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z" if at else None
