"""Hides what users wrote, in records and events."""

from typing import Any

HIDDEN = ("content", "attachments", "extra", "title", "args")
"""The fields that hold what a user wrote."""


def masked(fields: Any) -> Any:
    """Return fields without what a user wrote, but with its length."""
    if isinstance(fields, list | tuple):
        return [masked(each) for each in fields]
    if not isinstance(fields, dict):
        return fields
    return {name: _mask(name, value) for name, value in fields.items()}


def _mask(name: object, value: Any) -> Any:
    if name in HIDDEN and value:
        return f"({len(value)} hidden)" if hasattr(value, "__len__") else "(hidden)"
    return masked(value)
