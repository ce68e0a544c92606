"""What the payloads of all guides are made of: ids, counts, times."""

from datetime import datetime
from typing import Any

from marshmallow import fields, validate

from parley.shared.model import MAX_ID


class Id(fields.String):
    """Somebody's id for something: 1 to 128 characters, none of them a control character."""

    def __init__(self, **kwargs: Any) -> None:
        valid = [validate.Length(1, MAX_ID), validate.Regexp(r"[^\x00-\x1f\x7f]*\Z", error="Not an id.")]
        super().__init__(validate=valid, **kwargs)


class NumericId(Id):
    """An id for which a client may give a whole number: it is taken as text."""

    also = fields.Integer(strict=True, validate=validate.Range(-(2**63), 2**64 - 1))
    """What is taken besides text, for descriptions."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return super()._deserialize(value, attr, data, **kwargs)


class Count(fields.Integer):
    """A whole number given as a number, not as text or a fraction."""

    def __init__(self, *, least: int = 0, most: int | None = None, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(least, most or 2**53), **kwargs)


def iso(at: datetime | None) -> str | None:
    """A time as JavaScript writes it: UTC, milliseconds, `Z`."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z" if at else None
