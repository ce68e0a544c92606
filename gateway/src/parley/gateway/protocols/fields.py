"""The base of all schemas that clients send, and fields that protocols share: ids, counts, timestamps."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from marshmallow import Schema, ValidationError, fields, pre_load, utils, validate

from parley.shared.model import MAX_ID

MAX_REASONS = 10
"""Reasons that one error names."""
EXACT = 2**53
"""The largest integer up to which a float, and so JavaScript, has all of them."""
SECONDS_END, MILLISECONDS_END = (len(text) for text in ('"2026-01-01T00:00:00', '"2026-01-01T00:00:00.000'))

_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_SPELLED_UUID = re.compile(
    r"(urn:uuid:)?\{?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\}?", re.IGNORECASE | re.ASCII
)
"""Matches the usual spellings: `UUID` ignores any number of dashes and braces, and takes other digits too."""
_encode = msgspec.json.Encoder().encode


class InboundSchema(Schema):
    """A payload of clients, in which `null` for an optional field counts as if the field were not there."""

    def on_bind_field(self, _field_name: str, field_obj: fields.Field[Any]) -> None:
        """Have the generated API documents show that an optional field may be null."""
        field_obj.allow_none = not field_obj.required

    @pre_load
    def _leave_out_nulls(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, Mapping) or None not in data.values():
            return data
        optional = {field.data_key or name for name, field in self.fields.items() if not field.required}
        return {name: value for name, value in data.items() if value is not None or name not in optional}


class Id(fields.String):
    """An id: 1 to 128 characters, none of them a control character."""

    def __init__(self, **kwargs: Any) -> None:
        valid = [validate.Length(1, MAX_ID), validate.Regexp(r"[^\x00-\x1f\x7f]*\Z", error="Not an id.")]
        super().__init__(validate=valid, **kwargs)

    def _validate(self, value: Any) -> None:
        # All validators run, whatever the first finds: the second would search a quarter of a megabyte.
        super()._validate(value[: MAX_ID + 1] if isinstance(value, str) else value)


def whole(value: Any) -> Any:
    """Return a number without a fraction as an integer: some encoders write all numbers as 5.0.

    A larger one stays as it is: its last digits are lost.
    """
    is_whole = isinstance(value, float) and abs(value) <= EXACT and value.is_integer()
    return int(value) if is_whole else value


class NumericId(Id):
    """An id that clients may also send as an integer; it is loaded as a string."""

    also: Any = fields.Integer(strict=True, validate=validate.Range(-(2**63), 2**64 - 1))
    """The other accepted type, or several of them, for the generated API documents."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        value = whole(value)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return super()._deserialize(value, attr, data, **kwargs)


class ServerId(Id):
    """An id that Parley has given: a UUID, whose case does not matter (RFC 9562, section 4)."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return _lower_uuid(super()._deserialize(value, attr, data, **kwargs))


class NumericServerId(NumericId):
    """A `ServerId`, or the integer that a client without such ids would send."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return _lower_uuid(super()._deserialize(value, attr, data, **kwargs))


def _lower_uuid(value: Any) -> Any:
    # Swift encodes a UUID that it has decoded in upper case.
    return value.lower() if isinstance(value, str) and _UUID.fullmatch(value) else value


class Uuid(fields.UUID):
    """A UUID, loaded as its canonical text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str) and _SPELLED_UUID.fullmatch(value) is None:
            raise self.make_error("invalid_uuid")
        return str(super()._deserialize(value, attr, data, **kwargs))


class UuidAsSent(Uuid):
    """A UUID, loaded as the client spells it: Swift's is in upper case, and its client compares texts."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        super()._deserialize(value, attr, data, **kwargs)
        return value


class Count(fields.Integer):
    """An integer given as a JSON number, not as a string or a fraction.

    Args:
        least: The smallest accepted value.
        most: The largest accepted value; by default the largest that JavaScript counts exactly.
    """

    def __init__(self, *, least: int = 0, most: int | None = None, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(least, most or EXACT), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return super()._deserialize(whole(value), attr, data, **kwargs)


class BoundedList(fields.List[Any]):
    """A list whose length is checked before its elements; it stops at its tenth wrong element.

    Args:
        inner: The field of an element.
        most: Elements, at most.
    """

    def __init__(self, inner: fields.Field[Any], *, most: int, **kwargs: Any) -> None:
        super().__init__(inner, validate=validate.Length(max=most), **kwargs)
        self.most = most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not utils.is_collection(value):
            raise self.make_error("invalid")
        check_length(value, self.most)
        errors: dict[int, Any] = {}
        loaded: list[Any] = []
        for position, each in enumerate(value):
            try:
                loaded.append(self.inner.deserialize(each, **kwargs))
            except ValidationError as error:
                errors[position] = error.messages
                if len(errors) == MAX_REASONS:
                    break
        if errors:
            raise ValidationError(errors)
        return loaded


class BoundedDict(fields.Dict):
    """An object with names of the client's choice, whose length is checked before its values.

    Args:
        most: Values, at most.
    """

    def __init__(self, *, most: int, **kwargs: Any) -> None:
        super().__init__(validate=validate.Length(max=most), **kwargs)
        self._most = most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[Any, Any]:
        if isinstance(value, Mapping):
            check_length(value, self._most)
        return super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-any-return, no-untyped-call]


def check_length(value: Any, most: int) -> None:
    """Check the number of elements. Raises `ValidationError`."""
    if len(value) > most:
        raise ValidationError(f"At most {most} at a time.")


def iso(at: datetime | None) -> str | None:
    """Format a UTC time as JavaScript's `toISOString` does: milliseconds and `Z`."""
    if at is None:
        return None
    # `isoformat` takes five times as long, and orjson looks up how the time's zone is made. msgspec leaves a
    # fraction of zero out.
    text = str(_encode(at), "ascii")
    return f"{text[1:MILLISECONDS_END]}Z" if at.microsecond else f"{text[1:SECONDS_END]}.000Z"
