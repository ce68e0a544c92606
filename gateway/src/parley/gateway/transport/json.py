"""JSON by orjson, with the functions that python-socketio expects of a json module."""

from collections.abc import Callable
from typing import Any

import orjson

encode: Callable[[Any], bytes] = orjson.dumps
"""Encodes a value as compact JSON in UTF-8; raises TypeError if JSON has no form for the value."""


def dumps(value: Any, **_options: Any) -> str:
    """Encode a value as compact JSON.

    Raises:
        TypeError: JSON has no form for the value.
    """
    return orjson.dumps(value).decode()


def loads(text: str | bytes, **_options: Any) -> Any:
    """Decode a JSON text.

    Raises:
        ValueError: the text is not JSON; NaN and Infinity are not.
    """
    return orjson.loads(text)
