"""JSON by orjson, in the form that python-socketio expects of a json module."""

from typing import Any

import orjson


def dumps(value: Any, **_options: Any) -> str:
    """Compact JSON; raises `TypeError` for what JSON has no form for."""
    return orjson.dumps(value).decode()


def loads(text: str | bytes, **_options: Any) -> Any:
    """The value of a JSON text; raises `ValueError` for anything else, NaN included."""
    return orjson.loads(text)
